"""*Incidents*: the list, and one with its whole story: to approve a plan, choose a runbook, take over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from agent.adapters.json_view import clean
from agent.domain.approvals import Needs, needs_of
from agent.domain.decisions import Attempt, AttemptEnd, Plan, PlannedStep
from agent.domain.incident import EventKind, Incident, Status, TimelineEvent
from agent.domain.people import Deed
from agent.domain.queue import queue_id
from agent.domain.runbook import Parameter
from agent.domain.search import PAGE, IncidentsAsked
from agent.domain.stops import words
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.kept import runbook_of
from agent.pipeline.telling import Teller
from agent.web import identity
from agent.web.console.seams import Waiting
from agent.web.found import incident_or_404

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame

#: What stands in the timeline for machines alone.
_QUIET = frozenset({EventKind.DELIVERY, EventKind.SYSTEM})


@dataclass(frozen=True, slots=True)
class StepShown:
    """One step as planned, with what became of it."""

    step: PlannedStep
    attempts: tuple[Attempt, ...]

    @property
    def status(self) -> str:
        """How it stands, in a word."""
        if self.step.refusal is not None:
            return "refused"
        if not self.attempts:
            return "pending"
        last = self.attempts[-1]
        if last.end is AttemptEnd.OUTCOME_UNKNOWN and last.reason == "not ended yet":
            return "running"
        return last.end.value


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """The pages and their forms."""
    desk = _Desk(parts, frame)

    @routes.get("/incidents")
    def incidents() -> Response:
        return desk.listed()

    @routes.get("/incidents/<incident_id>")
    def incident(incident_id: str) -> Response:
        return desk.page(incident_or_404(parts, incident_id))

    @routes.post("/incidents/<incident_id>/approve")
    def approve(incident_id: str) -> AnyResponse:
        return desk.decide(incident_id, approved=True)

    @routes.post("/incidents/<incident_id>/reject")
    def reject(incident_id: str) -> AnyResponse:
        return desk.decide(incident_id, approved=False)

    @routes.post("/incidents/<incident_id>/parameters")
    def parameters(incident_id: str) -> AnyResponse:
        return desk.edit(incident_id)

    @routes.post("/incidents/<incident_id>/choose")
    def choose(incident_id: str) -> AnyResponse:
        return desk.choose(incident_id)

    @routes.post("/incidents/<incident_id>/stand-down")
    def stand_down(incident_id: str) -> AnyResponse:
        return desk.stand_down(incident_id)


class _Desk:
    """One request each; the rules are those of the command line, the API and Slack."""

    def __init__(self, parts: WebParts, frame: Frame) -> None:
        self._parts = parts
        self._store = parts.store
        self._frame = frame
        self._teller = Teller(parts.store, parts.redactor, parts.config.channels())

    def listed(self) -> Response:
        actor = self._frame.viewer()
        given = request.args
        status = given.get("status", "")
        asked = IncidentsAsked(
            text=clean(given.get("q", "")).strip()[:200],
            status=status if status in set(Status) else "",
            runbook=clean(given.get("runbook", "")).strip()[:200],
            after=clean(given.get("after", "")),
        )
        with self._parts.room.taken() if asked.text else nullcontext():
            found = self._store.incidents_found(asked)
        return self._frame.page(
            "incidents.html",
            actor,
            found=found,
            asked=asked,
            statuses=[each.value for each in Status],
            more=found[-1].id if len(found) == PAGE else "",
        )

    def page(self, incident: Incident, *, problem: str = "", status: int = 200) -> Response:
        actor = self._frame.viewer()
        store = self._store
        plan, timeline = store.plan(incident.id), store.timeline(incident.id)
        waiting = _waiting(store.waiting(), incident)
        asked = _asked(timeline) if waiting is not None else None
        return self._frame.page(
            "incident.html",
            actor,
            status=status,
            problem=problem,
            incident=incident,
            plan=plan,
            steps=_steps(plan, store.attempts(incident.id)),
            waiting=waiting,
            needs=needs_of(asked.data) if asked is not None else Needs(),
            votes=store.votes(incident.id, waiting.decides) if waiting is not None else (),
            editable=self._editable(incident, plan, asked),
            choices=_choices(asked),
            others=answers.offered_instead(asked) if asked is not None else [],
            charged=store.charged(incident.id),
            timeline=[event for event in timeline if event.kind not in _QUIET],
            escalation=store.queue_item(queue_id(incident.id)),
        )

    def _editable(
        self, incident: Incident, plan: Plan | None, asked: TimelineEvent | None
    ) -> list[tuple[Parameter, str]]:
        """(parameter, its value) of those that whoever approves may change within their bounds."""
        if plan is None or asked is None or asked.data.get("about") != "plan":
            return []
        declared = runbook_of(self._store, incident.runbook_id, incident.runbook_revision).parameters
        return [
            (each, plan.parameters[each.name].value)
            for each in declared
            if not each.captured and each.name in plan.parameters
        ]

    def decide(self, incident_id: str, *, approved: bool) -> AnyResponse:
        # one no is enough, and it only makes the agent do less
        actor = identity.signed_in(self._parts, Deed.APPROVE if approved else Deed.STAND_DOWN)
        incident = incident_or_404(self._parts, incident_id)
        plan_hash = request.form.get("plan_hash", "")
        if not plan_hash:
            return self.page(incident, problem="say which plan: reload the page and decide anew", status=400)
        answer = answers.decide(
            self._store,
            incident,
            approved=approved,
            by=str(actor),
            now=self._frame.now(),
            plan_hash=plan_hash[:64],
            actor=actor,
            step_by_step="step_by_step" in request.form,
            teller=self._teller,
        )
        return self._answered(incident, answer)

    def edit(self, incident_id: str) -> AnyResponse:
        actor = identity.signed_in(self._parts, Deed.APPROVE)
        incident = incident_or_404(self._parts, incident_id)
        plan = self._store.plan(incident.id)
        before = {name: each.value for name, each in plan.parameters.items()} if plan is not None else {}
        wanted = {
            key.removeprefix("value."): value.strip()
            for key, value in request.form.items()
            if key.startswith("value.")
        }
        answer = answers.edit(
            self._store,
            incident,
            {name: value for name, value in wanted.items() if before.get(name) != value},
            by=str(actor),
            now=self._frame.now(),
            plan_hash=request.form.get("plan_hash", "")[:64],
            actor=actor,
        )
        return self._answered(incident, answer)

    def choose(self, incident_id: str) -> AnyResponse:
        actor = identity.signed_in(self._parts, Deed.CHOOSE)
        incident = incident_or_404(self._parts, incident_id)
        runbook = words(request.form.get("runbook", ""))
        answer = answers.choose(
            self._store,
            incident,
            runbook,
            by=str(actor),
            now=self._frame.now(),
            plan_hash=request.form.get("plan_hash", "")[:64],
            actor=actor,
        )
        return self._answered(incident, answer)

    def stand_down(self, incident_id: str) -> AnyResponse:
        actor = identity.signed_in(self._parts, Deed.STAND_DOWN)
        incident = incident_or_404(self._parts, incident_id)
        answer = answers.stand_down(self._teller, incident, by=str(actor), now=self._frame.now())
        return self._answered(incident, answer)

    def _answered(self, incident: Incident, answer: Taken | NotTaken) -> AnyResponse:
        if isinstance(answer, NotTaken):
            return self.page(self._store.incident(incident.id), problem=answer.why, status=409)
        self._parts.notify()
        return redirect(f"/console/incidents/{incident.id}", 303)


def _waiting(rows: Sequence[Mapping[str, object]], incident: Incident) -> Waiting | None:
    return next((Waiting.of(row) for row in rows if row["incident_id"] == incident.id), None)


def _asked(timeline: Sequence[TimelineEvent]) -> TimelineEvent | None:
    """The last question of the story."""
    kinds = (EventKind.APPROVAL_REQUESTED, EventKind.AMBIGUOUS)
    return next((event for event in reversed(timeline) if event.kind in kinds), None)


def _choices(asked: TimelineEvent | None) -> list[tuple[str, float]]:
    """(runbook, confidence) of each one that is offered."""
    offered = asked.data.get("choices") if asked is not None else None
    if not isinstance(offered, list):
        return []
    return [(str(name), float(confidence)) for name, confidence, *_ in offered]


def _steps(plan: Plan | None, attempts: Sequence[Attempt]) -> Mapping[str, list[StepShown]]:
    """Every step of the plan under its section's name."""
    if plan is None:
        return {}
    sections = {"Steps": plan.steps, "Verify": plan.verify, "Rollback": plan.rollback}
    return {
        name: [StepShown(step, tuple(each for each in attempts if _is_of(each, step))) for step in steps]
        for name, steps in sections.items()
        if steps
    }


def _is_of(attempt: Attempt, step: PlannedStep) -> bool:
    return attempt.section is step.section and attempt.step == step.index
