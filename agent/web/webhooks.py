"""Webhooks: verify over the raw bytes, store durably, answer 202; nothing slow before the answer."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, jsonify, request

from agent.adapters import pagerduty_webhook
from agent.domain.source_event import Acceptance
from agent.pipeline.intake import OWN_CLIENT
from agent.safety.redaction_alert import redacted_alert

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

_WORDS = {
    Acceptance.NEW_INCIDENT: "accepted",
    Acceptance.KNOWN_INCIDENT: "known incident",
    Acceptance.STORED: "stored",
    Acceptance.DUPLICATE: "duplicate",
}


def blueprint(parts: WebParts) -> Blueprint:
    """`POST /webhook/pagerduty`."""
    routes = Blueprint("webhooks", __name__)

    @routes.post("/webhook/pagerduty")
    def pagerduty() -> tuple[Response, int]:
        return _PagerDutyReception(parts).receive()

    return routes


class _PagerDutyReception:
    """One webhook of PagerDuty, from its raw bytes to its answer."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._raw = request.get_data(cache=False)

    def receive(self) -> tuple[Response, int]:
        if not self._parts.ready.is_set():
            return self._answer(503, "not ready", "the agent is starting or stopping; send it again")
        if self._parts.config.pagerduty is None:
            return self._answer(404, "not configured", "config.yaml has no pagerduty section")
        if not self._is_signed():
            return self._answer(401, "bad signature", "X-PagerDuty-Signature is missing or matches no secret")
        event = pagerduty_webhook.read(self._raw)
        if isinstance(event, pagerduty_webhook.Malformed):
            return self._answer(400, "malformed", event.reason)
        return self._accept(event)

    def _is_signed(self) -> bool:
        section = self._parts.config.pagerduty
        if section is None:
            return False
        header = request.headers.get("X-PagerDuty-Signature")
        secrets = [reference.resolve().reveal() for reference in section.webhook_secrets]
        if header is None and section.allow_unsigned_webhooks:
            return True
        return pagerduty_webhook.verify(self._raw, header, secrets)

    def _accept(self, event: pagerduty_webhook.WebhookEvent) -> tuple[Response, int]:
        if event.client_name == OWN_CLIENT:
            return self._answer(202, "own escalation", "", received=True)
        source_event = pagerduty_webhook.to_source_event(event, self._delivery_id(event))
        redactor = self._parts.redactor
        if source_event.alert is not None:
            source_event = replace(source_event, alert=redacted_alert(redactor, source_event.alert))
        raw = redactor.text(self._raw.decode("utf-8", "replace"))
        accepted = self._parts.store.accept(source_event, raw)
        self._parts.notify()
        log.info(
            "webhook_stored",
            source="pagerduty",
            event_name=event.event_type,
            source_id=source_event.source_id,
            outcome=accepted.acceptance.value,
            incident_id=accepted.incident_id,
        )
        self._parts.metrics.webhooks.labels("pagerduty", accepted.acceptance.value).inc()
        body = {
            "received": True,
            "outcome": _WORDS[accepted.acceptance],
            "incident": accepted.incident_id or None,
        }
        return jsonify(body), 202

    def _delivery_id(self, event: pagerduty_webhook.WebhookEvent) -> str:
        """The same for each attempt to deliver it (PagerDuty: X-Webhook-Id)."""
        given = request.headers.get("X-Webhook-Id") or event.event_id
        if not given:
            given = hashlib.sha256(self._raw).hexdigest()
        return f"pagerduty:{given[:200]}"

    def _answer(self, status: int, outcome: str, why: str, *, received: bool = False) -> tuple[Response, int]:
        log.info("webhook_not_stored", source="pagerduty", status=status, outcome=outcome, why=why)
        self._parts.metrics.webhooks.labels("pagerduty", outcome.replace(" ", "_")).inc()
        body: dict[str, object] = {"received": received, "outcome": outcome}
        return jsonify(body | ({"error": why} if why else {})), status
