"""PagerDuty's webhooks as a source of alerts: signed, one event each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from agent.adapters import pagerduty_webhook
from agent.config.sections import PagerDuty
from agent.ports.sources import Malformed, NotGenuine, Read

_NOT_SIGNED = NotGenuine("X-PagerDuty-Signature is missing or matches no secret")


class PagerDutySource:
    """Implements ports.AlertSource; the secrets are fetched once, and anew once none of the old ones fits."""

    name = "pagerduty"

    def __init__(self, section: PagerDuty) -> None:
        self._section = section
        self._secrets: Sequence[str] = ()

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        """None if one of our secrets signed it, or if nothing is signed and the configuration allows that."""
        header = headers.get("x-pagerduty-signature")
        if header is None:
            return None if self._section.allow_unsigned_webhooks else _NOT_SIGNED
        if self._secrets and pagerduty_webhook.verify(raw, header, self._secrets):
            return None
        self._secrets = [reference.resolve().reveal() for reference in self._section.webhook_secrets]
        return None if pagerduty_webhook.verify(raw, header, self._secrets) else _NOT_SIGNED

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:
        """Its one event; the delivery id is the same for each attempt to deliver it (X-Webhook-Id)."""
        event = pagerduty_webhook.read(raw)
        if isinstance(event, Malformed):
            return event
        given = headers.get("x-webhook-id") or event.event_id or hashlib.sha256(raw).hexdigest()
        return Read((pagerduty_webhook.to_source_event(event, f"{self.name}:{given[:200]}"),))
