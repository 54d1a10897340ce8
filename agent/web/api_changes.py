"""`/api/v1`, what changes something: approve, reject, choose, stand down, run, stop, resume.

The same rules as on the command line. Every change needs a token, and who it is by is kept: the
token's owner, or with the agent's own token whom the body names.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, jsonify

from agent.domain.alert import Severity
from agent.domain.incident import Incident
from agent.domain.people import Deed
from agent.domain.stops import Stop, StopAsked, StopScope
from agent.pipeline import answers, asked, stops
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.asked import NotStarted, RunAsked
from agent.pipeline.telling import Teller
from agent.web import bodies, identity, views
from agent.web.found import incident_or_404, stop_or_404

if TYPE_CHECKING:
    from agent.web.app import WebParts


def blueprint(parts: WebParts) -> Blueprint:
    """The changes."""
    routes = Blueprint("changes", __name__, url_prefix="/api/v1")
    changes = _Changes(parts)

    @routes.before_request
    def only_who_may_change() -> None:
        identity.check_writer(parts)
        bodies.check_is_json()

    @routes.post("/incidents/<incident_id>/approve")
    def approve(incident_id: str) -> Response:
        return changes.decide(incident_id, approved=True)

    @routes.post("/incidents/<incident_id>/reject")
    def reject(incident_id: str) -> Response:
        return changes.decide(incident_id, approved=False)

    @routes.post("/incidents/<incident_id>/parameters")
    def parameters(incident_id: str) -> Response:
        return changes.edit(incident_id)

    @routes.post("/incidents/<incident_id>/choose")
    def choose(incident_id: str) -> Response:
        return changes.choose(incident_id)

    @routes.post("/incidents/<incident_id>/stand-down")
    def stand_down(incident_id: str) -> Response:
        return changes.stand_down(incident_id)

    @routes.post("/runs")
    def run() -> tuple[Response, int]:
        return changes.run()

    @routes.post("/stops")
    def stop() -> tuple[Response, int]:
        return changes.stop()

    @routes.post("/stops/<stop_id>/resume")
    def resume(stop_id: str) -> Response:
        return changes.resume(stop_id)

    return routes


class _Changes:
    """One request each: read what it says, do it, wake whoever waits for it."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._teller = Teller(parts.store, parts.redactor, parts.config.channels())

    def decide(self, incident_id: str, *, approved: bool) -> Response:
        body = bodies.read(bodies.Approval if approved else bodies.Answer)
        actor = identity.actor(self._parts, Deed.APPROVE if approved else Deed.STAND_DOWN)
        incident = incident_or_404(self._parts, incident_id)
        answer = answers.decide(
            self._store,
            incident,
            approved=approved,
            by=str(actor),
            now=self._now(),
            plan_hash=body.plan_hash,
            actor=actor,
            step_by_step=isinstance(body, bodies.Approval) and body.step_by_step,
            teller=self._teller,
        )
        taken = self._taken(answer)
        decision = "approved" if approved else "rejected"
        return self._answer(
            incident,
            taken,
            decision=decision,
            plan_hash=taken.decision.plan_hash,
            waits_for=taken.waits_for,
        )

    def edit(self, incident_id: str) -> Response:
        body = bodies.read(bodies.Parameters)
        actor = identity.actor(self._parts, Deed.APPROVE)
        incident = incident_or_404(self._parts, incident_id)
        answer = answers.edit(
            self._store,
            incident,
            body.parameters,
            by=str(actor),
            now=self._now(),
            plan_hash=body.plan_hash,
            actor=actor,
        )
        taken = self._taken(answer)
        return self._answer(incident, taken, plan_hash=taken.decision.plan_hash, parameters=body.parameters)

    def choose(self, incident_id: str) -> Response:
        body = bodies.read(bodies.Choice)
        actor = identity.actor(self._parts, Deed.CHOOSE)
        incident = incident_or_404(self._parts, incident_id)
        answer = answers.choose(
            self._store,
            incident,
            body.runbook,
            by=str(actor),
            now=self._now(),
            plan_hash=body.plan_hash or "",
            actor=actor,
        )
        return self._answer(incident, self._taken(answer), runbook=body.runbook)

    def stand_down(self, incident_id: str) -> Response:
        bodies.read(bodies.HandOver)
        actor = identity.actor(self._parts, Deed.STAND_DOWN)
        incident = incident_or_404(self._parts, incident_id)
        answer = answers.stand_down(self._teller, incident, by=str(actor), now=self._now())
        return self._answer(incident, self._taken(answer))

    def run(self) -> tuple[Response, int]:
        body = bodies.read(bodies.Run)
        actor = identity.actor(self._parts, Deed.RUN)
        severity = Severity(body.severity) if body.severity else None
        wanted = RunAsked(body.runbook, body.id, body.title, body.service, severity, body.labels)
        started = asked.start(self._teller, self._parts.library.runbooks, wanted, actor)
        if isinstance(started, NotStarted):
            abort(409, self._parts.redactor.text(started.why))
        self._parts.notify()
        said = {"incident": started.incident_id, "by": str(actor), "runbook": body.runbook}
        return jsonify(said | {"again": started.again}), 200 if started.again else 201

    def stop(self) -> tuple[Response, int]:
        body = bodies.read(bodies.PutStop)
        actor = identity.actor(self._parts, Deed.STOP)
        scope = StopScope(body.scope)
        if (scope is StopScope.ALL) == bool(body.name):
            needs = "takes no name" if body.name else "needs a name"
            abort(400, f"name: scope {body.scope} {needs}")
        asked = StopAsked(scope, body.name, body.reason, str(actor), body.end_running)
        put, is_new = stops.put(self._teller, asked, now=self._now())
        self._parts.notify()
        return self._shown(put, again=not is_new), 201 if is_new else 200

    def resume(self, stop_id: str) -> Response:
        bodies.read(bodies.Resume)
        actor = identity.actor(self._parts, Deed.RESUME)
        found = stop_or_404(self._parts, stop_id)
        lifted = stops.lift(self._teller, found, by=str(actor), now=self._now())
        self._parts.notify()
        return self._shown(stop_or_404(self._parts, stop_id), again=not lifted)

    def _taken(self, answer: Taken | NotTaken) -> Taken:
        if isinstance(answer, NotTaken):
            abort(409, self._parts.redactor.text(answer.why))
        self._parts.notify()
        return answer

    def _answer(self, incident: Incident, taken: Taken, **more: object) -> Response:
        said: dict[str, Any] = {"incident": incident.id, "by": taken.decision.by, **more}
        return jsonify(self._parts.redactor.value(said | {"again": taken.again}))

    def _shown(self, stop: Stop, *, again: bool) -> Response:
        return jsonify(self._parts.redactor.value(views.stop(stop) | {"again": again}))

    def _now(self) -> datetime:
        return self._store.clock.now()
