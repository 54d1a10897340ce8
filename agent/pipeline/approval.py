"""Approval: a human's yes to exactly this plan, or to exactly this step of it, within its time."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from agent.domain.decisions import EscalationTrigger, Plan, PlannedStep, StandDown, Stopped, Terms
from agent.domain.effects import EffectClass
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes, Decision
from agent.domain.runbook import Autonomy
from agent.pipeline.context import Context
from agent.pipeline.planning import covered_by_a_yes, step_name
from agent.pipeline.telling import promised, tell
from agent.pipeline.turns import take_turn
from agent.ports import Run
from agent.safety.policy import needs_approval


@dataclass(frozen=True, slots=True)
class _Question:
    """What a yes is asked for; `key` names it within the incident, `decides` is the hash it binds to.

    `until` is the end of the time in which a yes can still be used, if it ends before the timeout does.
    """

    key: str
    what: str
    decides: str
    steps: tuple[PlannedStep, ...]
    timeout_s: float
    until: datetime | None = None
    autonomy: str | None = None


def ask(run: Run, context: Context, incident_id: str, terms: Terms, plan: Plan) -> Stopped | StandDown | None:
    """None lets the plan run; below `approve` the runbook only says what it would do.

    What only an allowance grants waits for a yes however far the runbook may go alone.
    """
    autonomy = Autonomy(terms.autonomy)
    steps = (*plan.steps, *plan.verify, *plan.rollback)
    match autonomy:
        case Autonomy.SHADOW | Autonomy.SUGGEST:
            reason = f"this runbook's autonomy is {autonomy}: it shows its plan and runs nothing"
            return Stopped(reason, EscalationTrigger.NOT_AUTONOMOUS)
        case Autonomy.AUTO if not any(needs_approval(step.commands) for step in steps):
            return None
        case Autonomy.AUTO | Autonomy.APPROVE:
            question = _Question(
                "approval",
                "the plan",
                plan.plan_hash,
                steps,
                terms.approval_timeout_s,
                autonomy=Autonomy.APPROVE.value,
            )
            return _wait_for_yes(run, context, incident_id, question)


def ask_for_step(
    run: Run,
    context: Context,
    incident_id: str,
    *,
    plan: Plan,
    planned: PlannedStep,
    timeout_s: float,
    until: datetime,
) -> Stopped | StandDown | None:
    """None lets the step run; a yes that nothing can run under any more is not waited for."""
    question = _Question(
        f"approval-{planned.section}-{planned.index}",
        step_name(planned),
        step_hash(plan, planned),
        (planned,),
        timeout_s,
        until,
    )
    return _wait_for_yes(run, context, incident_id, question)


def step_hash(plan: Plan, planned: PlannedStep) -> str:
    """What a yes to one step binds to: this step of this plan, as it is bound and priced now."""
    covered = json.dumps([plan.plan_hash, covered_by_a_yes(planned)], sort_keys=True, default=str)
    return hashlib.sha256(covered.encode()).hexdigest()


def _wait_for_yes(
    run: Run, context: Context, incident_id: str, question: _Question
) -> Stopped | StandDown | None:
    key = question.key
    expires_at = datetime.fromisoformat(
        run.step(f"{key}-asked", lambda: _tell_asked(context, incident_id, question), returns=str)
    )
    outcome = "waiting"
    for look in count(1):  # a wake-up may be about something else
        left_s = (expires_at - context.clock.now()).total_seconds()
        run.wait("decision", max(left_s, 0.0))
        outcome = run.step(
            key if look == 1 else f"{key}-{look}",
            lambda: _settle(context, incident_id, question, expires_at),
            returns=str,
        )
        if outcome != "waiting":
            break
    match outcome:
        case "approved":
            return take_turn(run, context, incident_id, after=key)
        case "stood_down":
            return context.store.stand_down_of(incident_id) or StandDown("somebody", "took over")
        case "rejected":
            return Stopped(f"{question.what} was rejected", EscalationTrigger.APPROVAL_REJECTED)
        case _:
            return Stopped(f"nobody approved {question.what} in time", EscalationTrigger.APPROVAL_EXPIRED)


def _tell_asked(context: Context, incident_id: str, question: _Question) -> str:
    now = context.clock.now()
    expires_at = now + timedelta(seconds=question.timeout_s)
    if question.until is not None:
        expires_at = max(now, min(expires_at, question.until))
    what = "this plan" if question.what == "the plan" else question.what
    text = (
        f"✋ Approval needed within {(expires_at - now).total_seconds():g} s: "
        f"`oncall-agent approve {incident_id}` "
        f"runs exactly {what} ({question.decides[:12]}){_commands(question.steps)}"
    )
    data = {"plan_hash": question.decides, "expires_at": expires_at.isoformat()}
    entry = Entry(f"{question.key}-asked", EventKind.APPROVAL_REQUESTED, text, data)
    changes = Changes(status=Status.AWAITING_APPROVAL, waits_until=expires_at, autonomy=question.autonomy)
    if not tell(context, incident_id, entry, changes=changes):
        return promised(context, incident_id, entry.key, name="expires_at")
    return expires_at.isoformat()


def _commands(steps: Sequence[PlannedStep]) -> str:
    """What a yes lets run, word by word, with what it changes."""
    lines = []
    for step in steps:
        if step.waits_for:
            needs = ", ".join(step.waits_for)
            lines.append(f"\n    {step.section} {step.index}: {step.title}  [bound when {needs} is captured]")
        for command in step.commands:
            changes = [each for each in command.effects if each.effect_class is not EffectClass.READ]
            price = ", ".join(f"{each.count} × {each.effect_class}" for each in changes) or "reads"
            words = " ".join(command.argv) if step.action is not None else shlex.join(command.argv)
            lines.append(f"\n    {step.section} {step.index}: {words}  [{price}]")
    return "".join(lines)


def _settle(context: Context, incident_id: str, question: _Question, expires_at: datetime) -> str:
    """What was decided; a yes that came after the expiry is no yes."""
    if context.store.stand_down_of(incident_id) is not None:
        return "stood_down"
    decision = context.store.decision(incident_id, question.decides)
    if decision is None and context.clock.now() < expires_at:
        return "waiting"
    if decision is None or decision.at > expires_at:
        text = f"⌛ Nobody approved {question.what} in time"
        tell(context, incident_id, Entry(question.key, EventKind.APPROVAL_EXPIRED, text))
        return "expired"
    tell(context, incident_id, _answered(question, decision))
    return "approved" if decision.approved else "rejected"


def _answered(question: _Question, decision: Decision) -> Entry:
    kind = EventKind.APPROVED if decision.approved else EventKind.APPROVAL_REJECTED
    which = "" if question.what == "the plan" else f" ({question.what})"
    text = f"{'👍 Approved' if decision.approved else '👎 Rejected'} by {decision.by}{which}"
    return Entry(question.key, kind, text, {"plan_hash": decision.plan_hash}, actor=decision.by)
