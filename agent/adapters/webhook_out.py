"""A signed webhook to any system: JSON, with a signature over time and body (`domain/signing.py`)."""

from __future__ import annotations

from agent.adapters.hook_http import HookHttp
from agent.adapters.http import json_bytes
from agent.domain.signing import DELIVERY, SIGNATURE, sign
from agent.ports import Clock, Notification


class WebhookOut:
    """Implements ports.Notifier."""

    def __init__(self, name: str, url: str, secret: str, clock: Clock, *, timeout_s: float = 5.0) -> None:
        self._name = name
        self._http = HookHttp(f"hook {name}", url, timeout_s=timeout_s, secrets=[secret])
        self._secret = secret
        self._clock = clock

    def __repr__(self) -> str:
        return f"WebhookOut({self._name!r}, '***')"

    def notify(self, notification: Notification) -> None:
        """Post it; whoever takes it can tell by its key that it came before."""
        now = self._clock.now()
        body: dict[str, object] = {
            "type": "oncall.notification",
            "version": 1,
            "key": notification.key,
            "subject": notification.subject,
            "text": notification.text,
            "facts": dict(notification.facts),
            "links": [{"url": url, "text": words} for url, words in notification.links],
        }
        signature = sign(self._secret, json_bytes(body), at=int(now.timestamp()))
        self._http.post(body, {SIGNATURE: signature, DELIVERY: _header(notification.key)})


def _header(text: str) -> str:
    return "".join(each if each.isascii() and each.isprintable() else "-" for each in text)[:200]
