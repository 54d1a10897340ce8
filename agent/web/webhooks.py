"""Webhooks: verify over the raw bytes, store durably, answer 202; nothing slow before the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

import structlog
from flask import Blueprint, Response, jsonify, request

from agent.domain.errors import StoreError
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent
from agent.pipeline.intake import OWN_CLIENT
from agent.ports.sources import AlertSource, Malformed, NotGenuine, Read
from agent.safety.redaction_alert import redacted_webhook
from agent.web.reception import Reception
from agent.web.refusals import LATER_S, NOT_READY, Refused, count, refuse, store_down
from agent.web.sources import known_names, sources_of

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

#: A name that nobody could configure is told under this one: a metric keeps each for ever.
_UNKNOWN = "unknown"


def blueprint(parts: WebParts) -> Blueprint:
    """`POST /webhook/<name>` for each source that is configured."""
    routes = Blueprint("webhooks", __name__)
    desk = _Desk(parts, sources_of(parts.config))
    routes.post("/webhook/<name>", endpoint="webhook")(desk.receive)
    return routes


class _Desk:
    """Where all webhooks come in, each from its raw bytes to its answer."""

    def __init__(self, parts: WebParts, sources: Mapping[str, AlertSource]) -> None:
        self._parts = parts
        self._sources = sources
        self._reception = Reception(parts.store, backlog=parts.config.limits.backlog)

    def receive(self, name: str) -> tuple[Response, int]:
        with self._parts.courtesy.answering():
            return self._receive(name)

    def _receive(self, name: str) -> tuple[Response, int]:
        raw = request.get_data(cache=False)
        called = name if name in self._sources or name in known_names() else _UNKNOWN
        # whatever else is wrong: while it starts or stops a 4xx would make its sender give up
        if not self._parts.ready.is_set():
            return self._no(called, NOT_READY)
        source = self._sources.get(name)
        if source is None:
            return self._no(called, _not_configured(called))
        headers = {key.lower(): value for key, value in request.headers.items()}
        not_genuine = source.genuine(raw, headers)
        if not_genuine is not None:
            return self._no(name, _doubted(not_genuine))
        read = source.read(raw, headers)
        if isinstance(read, Malformed):
            return self._no(name, Refused(400, "malformed", read.reason))
        return self._take(name, read, raw.decode("utf-8", "replace"))

    def _take(self, name: str, read: Read, raw: str) -> tuple[Response, int]:
        kept = read.kept or [raw] * len(read.events)
        foreign = [pair for pair in zip(read.events, kept, strict=True) if pair[0].client != OWN_CLIENT]
        if not foreign:
            return self._nothing(name, "own escalation" if read.events else "nothing to do", read.why_none)
        outcomes = self._reception.take_all([self._redacted(event, body) for event, body in foreign])
        taken = [(event, each) for (event, _), each in zip(foreign, outcomes, strict=True) if _is_taken(each)]
        self._tell_taken(name, taken)
        if len(taken) < len(outcomes):
            return self._no(name, self._not_taken(outcomes))
        return jsonify(_body(taken)), 202

    def _redacted(self, event: SourceEvent, body: str) -> tuple[SourceEvent, str]:
        alert, kept = redacted_webhook(self._parts.redactor, event.alert, body)
        return replace(event, alert=alert), kept

    def _tell_taken(self, name: str, taken: Sequence[tuple[SourceEvent, Accepted]]) -> None:
        if any(_has_work(event, accepted) for event, accepted in taken):
            self._parts.notify()
        for event, accepted in taken:
            log.info(
                "webhook_stored",
                source=name,
                event_name=event.name,
                source_id=event.source_id,
                outcome=accepted.acceptance.value,
                incident_id=accepted.incident_id,
            )
            self._parts.metrics.webhooks.labels(name, accepted.acceptance.value).inc()

    def _not_taken(self, outcomes: Sequence[Accepted | StoreError]) -> Refused:
        """What is not stored its source still has; of what it sends again nothing is stored twice."""
        left = [each for each in outcomes if not _is_taken(each)]
        part = f"{len(left)} of {len(outcomes)} are not stored: " if len(outcomes) > 1 else ""
        error = next((each for each in left if isinstance(each, StoreError)), None)
        if error is not None:
            return store_down(error, part=part)
        most = self._parts.config.limits.backlog
        why = f"{part}{most} incidents wait for their turn already (limits.backlog); send it again later"
        return Refused(503, "backlog full", why, LATER_S)

    def _nothing(self, name: str, outcome: str, why: str) -> tuple[Response, int]:
        """Understood, and nothing follows from it."""
        log.info("webhook_not_stored", source=name, status=202, outcome=outcome, why=why)
        count(self._parts, name, outcome)
        return jsonify({"received": True, "outcome": why or outcome}), 202

    def _no(self, name: str, refused: Refused) -> tuple[Response, int]:
        return refuse(self._parts, name, refused)


def _not_configured(name: str) -> Refused:
    if name == _UNKNOWN:
        return Refused(404, "not configured", "config.yaml has no source of this name")
    key = name if name == "pagerduty" else f"sources.{name}"
    return Refused(404, "not configured", f"config.yaml has no {key} section")


def _doubted(doubt: NotGenuine) -> Refused:
    if doubt.again:
        return Refused(503, "not proved", doubt.reason, LATER_S)
    return Refused(401, "not genuine", doubt.reason)


def _is_taken(outcome: Accepted | StoreError) -> TypeGuard[Accepted]:
    return isinstance(outcome, Accepted) and outcome.acceptance is not Acceptance.BACKLOG_FULL


def _body(taken: Sequence[tuple[SourceEvent, Accepted]]) -> dict[str, object]:
    """What became of it; of many, what became of each."""
    each = [
        {"outcome": _WORDS[accepted.acceptance], "incident": accepted.incident_id or None}
        for _, accepted in taken
    ]
    if len(each) == 1:
        return {"received": True, **each[0]}
    alerts = [{"source_id": event.source_id, **one} for (event, _), one in zip(taken, each, strict=True)]
    return {"received": True, "outcome": f"{len(each)} alerts", "alerts": alerts}


def _has_work(event: SourceEvent, accepted: Accepted) -> bool:
    """Whether the dispatcher has anything to look at."""
    if accepted.acceptance is Acceptance.NEW_INCIDENT:
        return True
    is_news = event.type not in (EventType.TRIGGERED, EventType.OTHER)
    return accepted.acceptance is Acceptance.STORED and bool(accepted.incident_id) and is_news
