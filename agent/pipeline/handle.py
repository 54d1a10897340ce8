"""The whole story of an incident, from the webhook to its end."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from agent.domain.alert import Alert
from agent.domain.decisions import (
    Ambiguous,
    Completed,
    EscalationTrigger,
    Match,
    Matched,
    NoMatch,
    Plan,
    StandDown,
    Stopped,
    Terms,
)
from agent.domain.incident import Incident, is_asked
from agent.pipeline import (
    asked,
    choice,
    clearing,
    closing,
    freezes,
    handing_over,
    intake,
    keeptrusts,
    matching,
    planning,
    recurring,
    related,
    stops,
)
from agent.pipeline.agreement import Agreed, agree
from agent.pipeline.context import Context
from agent.pipeline.execution import Job, execute
from agent.pipeline.handing_over import Mended
from agent.pipeline.kept import kept_runbook
from agent.pipeline.terms import deadline_of, settled_terms
from agent.pipeline.verification import verify
from agent.ports import Run

#: Names under which the end is remembered; they outlive an upgrade.
_CLOSING_STEP = {Completed: "resolve", Stopped: "escalate", StandDown: "stand-down"}


def handle(run: Run, context: Context, incident_id: str) -> None:
    """Receive, learn, look back, match, plan, approve, execute, verify, hear the source, hand over, close."""
    end: Completed | Stopped | StandDown | Mended | None = _work(run, context, incident_id)
    if isinstance(end, Stopped):
        end = handing_over.ask(run, context, incident_id, end)
    if isinstance(end, Mended):
        mended = end
        run.step("resolve", lambda: closing.resolve_mended(context, incident_id, mended), returns=bool)
        return
    if end is not None:
        ended = end
        run.step(_CLOSING_STEP[type(ended)], lambda: closing.close(context, incident_id, ended), returns=bool)


def _work(run: Run, context: Context, incident_id: str) -> Completed | Stopped | StandDown | None:
    incident = context.store.incident(incident_id)
    alert = _take_in(run, context, incident)
    if alert is None:
        return None
    taken: StandDown | None = run.step(
        "taken-over", lambda: context.store.stand_down_of(incident_id), returns=StandDown | None
    )
    if taken is not None:
        return taken
    again: Stopped | None = run.step(
        "look-back", lambda: recurring.look_back(context, incident), returns=Stopped | None
    )
    if again is not None:
        return again
    return _answer(run, context, incident_id, alert)


def _answer(run: Run, context: Context, incident_id: str, alert: Alert) -> Completed | Stopped | StandDown:
    decide = asked.decide if is_asked(incident_id) else matching.decide
    found: Match = run.step("match", lambda: decide(context, incident_id, alert), returns=Match)
    match found:
        case NoMatch():
            waits: StandDown | None = run.step(
                "waits-in-queue", lambda: keeptrusts.waiting(context, alert), returns=StandDown | None
            )
            if waits is not None:
                return waits
            return Stopped("No matching runbook found", EscalationTrigger.NO_MATCH)
        case Ambiguous():
            stopped = stops.ask(run, context, incident_id, before="choice")
            if stopped is not None:
                return stopped
            chosen = choice.ask(run, context, incident_id, found)
            if not isinstance(chosen, Matched):
                return chosen
            return _carry_out(run, context, incident_id, alert, chosen)
        case Matched():
            return _carry_out(run, context, incident_id, alert, found)
        case _ as never:
            assert_never(never)


def _take_in(run: Run, context: Context, incident: Incident) -> Alert | None:
    """The alert with all that is known about it; None if it is the agent's own echo."""
    run.step("receive", lambda: intake.receive(context, incident), returns=None)
    if is_asked(incident.id):
        return incident.alert  # no source knows more of it
    if context.config.intake.group_window_s:
        run.step("related", lambda: related.tell_related(context, incident), returns=None)
    alert: Alert = run.step("learn", lambda: intake.learn(context, incident), returns=Alert)
    if run.step("own-echo", lambda: intake.is_own_echo(context, alert), returns=bool):
        run.step("ignore", lambda: intake.ignore_echo(context, incident), returns=None)
        return None
    return alert


def _carry_out(
    run: Run, context: Context, incident_id: str, alert: Alert, found: Matched
) -> Completed | Stopped | StandDown:
    runbook = kept_runbook(context, found.runbook_id, found.revision)
    stopped = stops.ask(run, context, incident_id, before="plan", runbook=runbook)
    if stopped is not None:
        return stopped
    plan: Plan = run.step(
        "plan",
        lambda: planning.decide(context, incident_id, runbook, alert, chosen=found.parameters),
        returns=Plan,
    )
    if plan.refusals:
        return Stopped(f"Refused: {plan.refusals[0]}", EscalationTrigger.REFUSED)
    terms: Terms = run.step(
        "terms",
        lambda: settled_terms(context, incident_id, runbook, plan),
        returns=Terms,
    )
    agreed = freezes.ended_by(terms) or agree(
        run, context, incident_id, alert=alert, found=found, runbook=runbook, plan=plan, terms=terms
    )
    if not isinstance(agreed, Agreed):
        return agreed
    runbook = agreed.runbook  # whoever was asked may have chosen another one
    stopped = stops.ask(run, context, incident_id, before="take-up", runbook=runbook)
    if stopped is not None:
        return stopped
    taken: StandDown | None = run.step(
        "take-up", lambda: intake.take_up(context, incident_id, alert), returns=StandDown | None
    )
    if taken is not None:
        return taken
    deadline = datetime.fromisoformat(
        run.step("deadline", lambda: deadline_of(context, alert, runbook).isoformat(), returns=str)
    )
    job = Job(incident_id, runbook, agreed.plan, deadline, agreed.terms)
    match execute(run, context, job):
        case Completed() as done:
            verified = verify(run, context, job, done)
            if not isinstance(verified, Completed):
                return verified
            return clearing.await_word(run, context, incident_id, alert, verified)
        case Stopped() | StandDown() as end:
            return end
