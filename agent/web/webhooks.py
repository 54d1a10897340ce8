"""Webhooks: verify over the raw bytes, store durably, answer 202; nothing slow before the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, jsonify, request

from agent.adapters import pagerduty_webhook
from agent.config.sections import PagerDuty
from agent.domain.errors import StoreError
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent
from agent.pipeline.intake import OWN_CLIENT
from agent.safety.redaction_alert import redacted_webhook
from agent.web.reception import Reception

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

_WORDS = {
    Acceptance.NEW_INCIDENT: "accepted",
    Acceptance.KNOWN_INCIDENT: "known incident",
    Acceptance.STORED: "stored",
    Acceptance.DUPLICATE: "duplicate",
    Acceptance.FOLDED: "same alert",
}

#: What a 503 asks its sender to wait; PagerDuty keeps to times of its own (webhooks, "Behavior").
_SOON_S, _LATER_S = 2, 30


def blueprint(parts: WebParts) -> Blueprint:
    """`POST /webhook/pagerduty`."""
    routes = Blueprint("webhooks", __name__)
    desk = _PagerDutyDesk(parts)
    routes.post("/webhook/pagerduty", endpoint="pagerduty")(desk.receive)
    return routes


class _Signatures:
    """Whether a webhook was signed with one of our secrets, which are fetched once."""

    def __init__(self, section: PagerDuty) -> None:
        self._section = section
        self._secrets: Sequence[str] = ()

    def holds(self, raw: bytes, header: str | None) -> bool:
        """A secret that was replaced where it is kept is fetched anew once none of the old ones fits."""
        if header is None:
            return self._section.allow_unsigned_webhooks
        if self._secrets and pagerduty_webhook.verify(raw, header, self._secrets):
            return True
        self._secrets = [reference.resolve().reveal() for reference in self._section.webhook_secrets]
        return pagerduty_webhook.verify(raw, header, self._secrets)


class _PagerDutyDesk:
    """Where PagerDuty's webhooks come in, each from its raw bytes to its answer."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        section = parts.config.pagerduty
        self._signatures = None if section is None else _Signatures(section)
        self._reception = Reception(parts.store, backlog=parts.config.limits.backlog)

    def receive(self) -> tuple[Response, int]:
        with self._parts.courtesy.answering():
            return self._receive()

    def _receive(self) -> tuple[Response, int]:
        raw = request.get_data(cache=False)
        if not self._parts.ready.is_set():
            return self._again("not ready", "the agent is starting or stopping; send it again")
        if self._signatures is None:
            return self._answer(404, "not configured", "config.yaml has no pagerduty section")
        if not self._signatures.holds(raw, request.headers.get("X-PagerDuty-Signature")):
            return self._answer(401, "bad signature", "X-PagerDuty-Signature is missing or matches no secret")
        event = pagerduty_webhook.read(raw)
        if isinstance(event, pagerduty_webhook.Malformed):
            return self._answer(400, "malformed", event.reason)
        if event.client_name == OWN_CLIENT:
            return self._answer(202, "own escalation", "", received=True)
        return self._store(pagerduty_webhook.to_source_event(event, _delivery_id(event, raw)), raw)

    def _store(self, event: SourceEvent, raw: bytes) -> tuple[Response, int]:
        alert, kept = redacted_webhook(self._parts.redactor, event.alert, raw.decode("utf-8", "replace"))
        try:
            accepted = self._reception.take(replace(event, alert=alert), kept)
        except StoreError as error:
            log.error("store_down", error=str(error))  # noqa: TRY400 - an operator needs no trace of it
            return self._again("store down", "the store cannot be used right now; send it again")
        if accepted.acceptance is Acceptance.BACKLOG_FULL:
            most = self._parts.config.limits.backlog
            why = f"{most} incidents wait for their turn already (limits.backlog); send it again later"
            return self._again("backlog full", why, after_s=_LATER_S)
        return self._stored(event, accepted)

    def _stored(self, event: SourceEvent, accepted: Accepted) -> tuple[Response, int]:
        if _has_work(event, accepted):
            self._parts.notify()
        log.info(
            "webhook_stored",
            source="pagerduty",
            event_name=event.name,
            source_id=event.source_id,
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

    def _again(self, outcome: str, why: str, *, after_s: int = _SOON_S) -> tuple[Response, int]:
        """A 503: whatever it was, its source still has it, and sends it again."""
        response, status = self._answer(503, outcome, why)
        response.headers["Retry-After"] = str(after_s)
        return response, status

    def _answer(self, status: int, outcome: str, why: str, *, received: bool = False) -> tuple[Response, int]:
        log.info("webhook_not_stored", source="pagerduty", status=status, outcome=outcome, why=why)
        self._parts.metrics.webhooks.labels("pagerduty", outcome.replace(" ", "_")).inc()
        body: dict[str, object] = {"received": received, "outcome": outcome}
        return jsonify(body | ({"error": why} if why else {})), status


def _has_work(event: SourceEvent, accepted: Accepted) -> bool:
    """Whether the dispatcher has anything to look at."""
    if accepted.acceptance is Acceptance.NEW_INCIDENT:
        return True
    is_news = event.type not in (EventType.TRIGGERED, EventType.OTHER)
    return accepted.acceptance is Acceptance.STORED and bool(accepted.incident_id) and is_news


def _delivery_id(event: pagerduty_webhook.WebhookEvent, raw: bytes) -> str:
    """The same for each attempt to deliver it (PagerDuty: X-Webhook-Id)."""
    given = request.headers.get("X-Webhook-Id") or event.event_id
    if not given:
        given = hashlib.sha256(raw).hexdigest()
    return f"pagerduty:{given[:200]}"
