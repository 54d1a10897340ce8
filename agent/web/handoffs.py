"""`/api/v1/handoffs`: other agents hand incidents over, and answer for those that were handed to them.

No token opens it: each body is signed with the secret that both ends share (`domain/signing.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import structlog
from flask import Blueprint, Response, abort, jsonify, request
from pydantic import BaseModel, ValidationError

from agent.adapters.json_view import clean
from agent.adapters.webhook_body import web_url
from agent.config.secrets import SecretReference
from agent.domain.alert import Alert
from agent.domain.errors import UnknownIncidentError
from agent.domain.handoffs import (
    HANDED_OVER,
    HANDOFF,
    HANDOFF_SOURCE,
    SENDER,
    Answered,
    HandedIn,
    Outcome,
    id_of,
)
from agent.domain.incident import Entry, EventKind
from agent.domain.records import Decision
from agent.domain.signing import SIGNATURE, why_not_signed
from agent.domain.source_event import Acceptance, EventType, SourceEvent
from agent.domain.stops import StopScope
from agent.pipeline.handing_over import kept
from agent.pipeline.telling import Teller, tell
from agent.safety.redaction_alert import redacted_webhook
from agent.web.handoff_bodies import MAX_BODY_BYTES, HandedAnswer, HandedAttempt, Package
from agent.web.reception import Reception

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

B = TypeVar("B", bound=BaseModel)

_SOON_S, _LATER_S = 2, 30

#: Of what was tried there, a thread shows so much.
_TRIED_SHOWN = 10


def blueprint(parts: WebParts) -> Blueprint:
    """Taking incidents, and answers."""
    routes = Blueprint("handoffs", __name__, url_prefix="/api/v1/handoffs")
    desk = _Desk(parts)
    routes.post("", endpoint="take")(desk.take)
    routes.post("/<key>/answer", endpoint="answer")(desk.answer)
    return routes


class _Desk:
    """One request each: who signed it, what it says, what becomes of it."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._reception = Reception(parts.store, backlog=parts.config.limits.backlog)

    def take(self) -> tuple[Response, int]:
        """An incident of another agent; opened once, however often it is posted."""
        raw = self._raw()
        sender = request.headers.get(SENDER, "")
        source = self._parts.config.handoff.accept_from.get(sender)
        if source is None:
            abort(401, f"{SENDER} names nobody of handoff.accept_from")
        self._check(raw, source.secret)
        body = _read(Package, raw)
        if body.sender != sender:
            abort(401, f"{SENDER} and `from` name different agents")
        why = self._refusal(body)
        if why:
            log.warning("handoff_refused", sender=sender, key=body.key, why=why)
            return jsonify({"received": False, "outcome": "refused", "error": why}), 409
        return self._open(body, raw)

    def answer(self, key: str) -> tuple[Response, int]:
        """What became of an incident of ours at another agent; the first answer counts."""
        raw = self._raw()
        incident_id, to = self._handed(key)
        self._check(raw, self._parts.config.handoff.targets[to].secret)
        body = _read(HandedAnswer, raw)
        if body.key != key:
            abort(400, "key: is not that of the address")
        words = self._parts.redactor.text(clean(body.words))
        evidence = self._parts.redactor.value(body.evidence)
        said = Answered(words, evidence if isinstance(evidence, dict) else {})
        is_mended = body.outcome is Outcome.RESOLVED
        if self._store.incident(incident_id).status.is_terminal:
            self._tell_late(incident_id, to, body.outcome, words)
            return jsonify({"received": True, "outcome": "too late"}), 200
        decision = Decision(HANDOFF, is_mended, to, self._now(), kept(said))
        is_first = self._store.decide(incident_id, decision)
        self._parts.notify()
        return jsonify({"received": True, "outcome": "taken" if is_first else "known"}), 200

    def _raw(self) -> bytes:
        request.max_content_length = MAX_BODY_BYTES
        raw = request.get_data(cache=False)
        if not self._parts.ready.is_set():
            self._again("the agent is starting or stopping; send it again", _SOON_S)
        return raw

    def _again(self, why: str, after_s: int) -> None:
        response = jsonify({"received": False, "error": why})
        response.status_code = 503
        response.headers["Retry-After"] = str(after_s)
        abort(response)

    def _check(self, raw: bytes, secret: SecretReference) -> None:
        header = request.headers.get(SIGNATURE, "")
        now = int(self._now().timestamp())
        why = why_not_signed(header, raw, [secret.resolve().reveal()], now=now)
        if why:
            log.warning("handoff_not_genuine", why=why)
            abort(401, why)

    def _refusal(self, body: Package) -> str:
        """Why it is not taken; whoever has it calls a human then."""
        handoff = self._parts.config.handoff
        known = self._store.handed_in(id_of(body.sender, body.key))
        if known is not None:
            return ""
        if handoff.name in body.chain:
            return f"{handoff.name} had it before ({' → '.join(body.chain)}): it goes round in circles"
        if body.chain[-1] != body.sender:
            return f"its chain ({' → '.join(body.chain)}) does not end with {body.sender}: it could come back"
        most = min(handoff.max_hops, body.max_hops)
        if len(body.chain) > most:
            return f"{len(body.chain)} agents had it before, and at most {most} may"
        if body.deadline <= self._now():
            return "its deadline is over; is a clock wrong?"
        stop = next((each for each in self._parts.stopped() if each.scope is StopScope.ALL), None)
        return f"the agent is {stop}" if stop is not None else ""

    def _open(self, body: Package, raw: bytes) -> tuple[Response, int]:
        """First what belongs to it, then its incident: whoever dies in between is sent it again."""
        handed = HandedIn(
            id_of(body.sender, body.key), body.sender, body.key, body.chain, body.deadline, self._now()
        )
        self._store.keep_handed_in(handed)
        alert, text = redacted_webhook(
            self._parts.redactor, _alert(handed, body), raw.decode("utf-8", "replace")
        )
        event = SourceEvent(
            HANDOFF_SOURCE,
            f"{HANDOFF_SOURCE}:{handed.id}",
            EventType.TRIGGERED,
            "handoff",
            handed.id,
            client=body.sender,
            alert=alert,
        )
        accepted = self._reception.take(event, text)
        if accepted.acceptance is Acceptance.BACKLOG_FULL:
            self._again("as many incidents wait as may (limits.backlog); send it again later", _LATER_S)
        self._tell_taken(accepted.incident_id, body)
        self._parts.notify()
        log.info("handoff_taken", sender=body.sender, key=body.key, incident_id=accepted.incident_id)
        outcome = "accepted" if accepted.acceptance is Acceptance.NEW_INCIDENT else "known"
        return jsonify({"received": True, "outcome": outcome, "incident": accepted.incident_id}), 202

    def _tell_taken(self, incident_id: str, body: Package) -> None:
        tried = "".join(f"\n    {_tried(each)}" for each in body.attempts[-_TRIED_SHOWN:])
        text = f"🤝 {body.sender} hands this over until {body.deadline:%H:%M:%S %Z}: {clean(body.reason.why)}"
        data = {
            "from": body.sender,
            "key": body.key,
            "chain": list(body.chain),
            "deadline": body.deadline.isoformat(),
            "attempts": [each.model_dump() for each in body.attempts],
            "incident": body.incident,
            "match": body.match,
        }
        self._tell(
            incident_id, Entry("handed-in", EventKind.NOTE, text + clean(tried), data, actor=body.sender)
        )

    def _tell_late(self, incident_id: str, to: str, outcome: Outcome, words: str) -> None:
        text = f"🤝 {to} answers after its time: {outcome.value}: {words}"
        self._tell(incident_id, Entry("handed-back-late", EventKind.NOTE, text, actor=to))

    def _tell(self, incident_id: str, entry: Entry) -> None:
        parts = self._parts
        tell(Teller(parts.store, parts.redactor, parts.config.channels()), incident_id, entry)

    def _handed(self, key: str) -> tuple[str, str]:
        """(our incident, whom it was handed to) of the key that both ends know."""
        handoff = self._parts.config.handoff
        incident_id = clean(key).removeprefix(f"{handoff.name}-")
        try:
            timeline = self._store.timeline(incident_id)
            self._store.incident(incident_id)
        except UnknownIncidentError:
            timeline = ()
        data = next((event.data for event in timeline if event.key == HANDED_OVER), {})
        if data.get("key") != key or data.get("to") not in handoff.targets:
            abort(404, "nothing was handed over under this key")
        return incident_id, str(data["to"])

    def _now(self) -> datetime:
        return self._store.clock.now()


def _alert(handed: HandedIn, body: Package) -> Alert:
    """The alert alone; where it comes from is a label, so that a runbook can ask for it."""
    given = body.alert
    return Alert(
        source=HANDOFF_SOURCE,
        source_id=handed.id,
        title=clean(given.title),
        body=clean(given.body),
        service=clean(given.service),
        severity=given.severity,
        urgency=given.urgency,
        priority=clean(given.priority),
        team=clean(given.team),
        environment=clean(given.environment),
        labels={
            **{clean(name): clean(value) for name, value in given.labels.items()},
            "handoff_from": handed.sender,
        },
        url=web_url(clean(given.url)),
        dedup_key=clean(given.dedup_key),
        links=tuple(filter(None, (web_url(clean(each)) for each in given.links))),
    )


def _tried(attempt: HandedAttempt) -> str:
    place = f"{attempt.section} {attempt.step}, attempt {attempt.number}"
    return f"{place}: {attempt.end} {attempt.reason}".strip()[:300]


def _read(kind: type[B], raw: bytes) -> B:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "(body)"
        abort(400, f"{where}: {first['msg']}"[:500])
