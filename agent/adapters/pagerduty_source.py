"""PagerDuty's webhooks as a source of alerts: signed, one event each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from agent.adapters import pagerduty_webhook
from agent.adapters.kept_secrets import KeptSecrets
from agent.config.sections import PagerDuty
from agent.ports.sources import Malformed, NotGenuine, Read

_NOT_SIGNED = NotGenuine("X-PagerDuty-Signature is missing or matches no secret")


class PagerDutySource:
    """Implements ports.AlertSource."""

    name = "pagerduty"
    asks_others = False

    def __init__(self, section: PagerDuty) -> None:
        self._section = section
        self._secrets = KeptSecrets(section.webhook_secrets)

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        """None if one of our secrets signed it, or if nothing is signed and the configuration allows that."""
        header = headers.get("x-pagerduty-signature")
        if header is None:
            return None if self._section.allow_unsigned_webhooks else _NOT_SIGNED
        signed = self._secrets.fit(lambda secrets: pagerduty_webhook.verify(raw, header, secrets))
        return None if signed else _NOT_SIGNED

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:
        """Its one event; the delivery id is the same for each attempt to deliver it (X-Webhook-Id)."""
        event = pagerduty_webhook.read(raw)
        if isinstance(event, Malformed):
            return event
        given = headers.get("x-webhook-id") or event.event_id or hashlib.sha256(raw).hexdigest()
        return Read((pagerduty_webhook.to_source_event(event, f"{self.name}:{given[:200]}"),))
