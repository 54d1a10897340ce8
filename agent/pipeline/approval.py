"""Approval: a human's yes to exactly this plan, or to exactly this step of it, within its time."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from agent.domain.approvals import NEEDS, OTHERS, Lapse
from agent.domain.decisions import (
    NOBODY,
    Candidate,
    EscalationTrigger,
    Plan,
    PlannedStep,
    StandDown,
    Stopped,
    Terms,
)
from agent.domain.effects import EffectClass
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes, Decision
from agent.domain.runbook import Autonomy, Runbook
from agent.pipeline import needs as whose
from agent.pipeline import rechoice, unrun
from agent.pipeline.context import Context
from agent.pipeline.planning import as_covered, covered_by_a_yes, step_name
from agent.pipeline.rechoice import Rechosen
from agent.pipeline.telling import promised, tell
from agent.pipeline.turns import take_turn
from agent.ports import Run
from agent.safety.policy import needs_approval

_THE_PLAN = "the plan"


@dataclass(frozen=True, slots=True)
class Go:
    """The plan may run; `step_by_step`: each step that changes something asks once more."""

    step_by_step: bool = False


@dataclass(frozen=True, slots=True)
class Edited:
    """Neither yes nor no: a new plan is to be made with these values."""

    parameters: Mapping[str, str]
    by: str


@dataclass(frozen=True, slots=True)
class _Question:
    """What a yes is asked for; `key` names it within the incident, `decides` is the hash it binds to.

    `until` is the end of the time in which a yes can still be used, if it ends before the timeout does.
    """

    key: str
    what: str
    decides: str
    steps: tuple[PlannedStep, ...]
    runbook: Runbook
    timeout_s: float
    until: datetime | None = None
    autonomy: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is about the plan: nothing has run yet."""
        return self.what == _THE_PLAN


def ask(
    run: Run,
    context: Context,
    incident_id: str,
    *,
    terms: Terms,
    plan: Plan,
    runbook: Runbook,
    number: int = 1,
) -> Go | Edited | Rechosen | Stopped | StandDown:
    """Go lets the plan run; below `approve` the runbook only says what it would do.

    What only an allowance grants, and what the configuration wants a yes for, waits for one however far the
    runbook may go alone. `number` counts the incident's plans: an edit or another runbook makes a new one.
    """
    autonomy = Autonomy(terms.autonomy)
    steps = (*plan.steps, *plan.verify, *plan.rollback)
    match autonomy:
        case Autonomy.SHADOW | Autonomy.SUGGEST:
            run.step("would-run", lambda: unrun.tell(context, incident_id, autonomy, plan), returns=bool)
            reason = f"this runbook's autonomy is {autonomy}: it shows its plan and runs nothing"
            return Stopped(reason, EscalationTrigger.NOT_AUTONOMOUS)
        case Autonomy.AUTO if number == 1 and not _must_ask(context, runbook, steps):
            return Go()
        case Autonomy.AUTO | Autonomy.APPROVE:
            question = _Question(
                "approval" if number == 1 else f"approval-plan-{number}",
                _THE_PLAN,
                plan.plan_hash,
                steps,
                runbook,
                terms.approval_timeout_s,
                autonomy=Autonomy.APPROVE.value,
            )
            return _wait_for_yes(run, context, incident_id, question)


def _must_ask(context: Context, runbook: Runbook, steps: Sequence[PlannedStep]) -> bool:
    if any(needs_approval(step.commands) for step in steps):
        return True
    return whose.asks_always(context.config, whose.effects_of(runbook, steps))


def ask_for_step(
    run: Run,
    context: Context,
    incident_id: str,
    *,
    plan: Plan,
    planned: PlannedStep,
    runbook: Runbook,
    timeout_s: float,
    until: datetime,
) -> Stopped | StandDown | None:
    """None lets the step run; a yes that nothing can run under any more is not waited for."""
    question = _Question(
        f"approval-{planned.section}-{planned.index}",
        step_name(planned),
        step_hash(plan, planned),
        (planned,),
        runbook,
        timeout_s,
        until,
    )
    answer = _wait_for_yes(run, context, incident_id, question)
    if isinstance(answer, Edited | Rechosen):  # never taken for a step: nothing but a yes lets it run
        return Stopped(f"{question.what} was not approved", EscalationTrigger.APPROVAL_REJECTED)
    return None if isinstance(answer, Go) else answer


def step_hash(plan: Plan, planned: PlannedStep) -> str:
    """What a yes to one step binds to: this step of this plan, as it is bound and priced now."""
    covered = as_covered([plan.plan_hash, covered_by_a_yes(planned)])
    return hashlib.sha256(covered.encode()).hexdigest()


def _wait_for_yes(
    run: Run, context: Context, incident_id: str, question: _Question
) -> Go | Edited | Rechosen | Stopped | StandDown:
    key = question.key
    hopeless = run.step(f"{key}-needs", lambda: _hopeless(context, incident_id, question), returns=str)
    if hopeless:
        return Stopped(f"Refused: {question.what} cannot be approved: {hopeless}", EscalationTrigger.REFUSED)
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
        case "approved" | "approved step by step":
            not_now = take_turn(run, context, incident_id, after=key)
            return not_now or Go(step_by_step=outcome != "approved")
        case "stood_down":
            return context.store.stand_down_of(incident_id) or StandDown("somebody", "took over")
        case _:
            return _refused(context, incident_id, question, outcome)


def _refused(
    context: Context, incident_id: str, question: _Question, outcome: str
) -> Edited | Rechosen | Stopped | StandDown:
    """No yes came: a human is paged, or it ends here if the runbook or the configuration says so.

    Once steps have run a human is paged in any case.
    """
    decision = context.store.decision(incident_id, question.decides)
    notes, config = question.runbook.escalation, context.config.approval
    if decision is not None and outcome == "edited":
        return Edited(decision.edited or {}, decision.by)
    if decision is not None and outcome == "rechosen":
        return Rechosen(decision.rechosen, decision.by)
    if decision is not None and outcome == "rejected":
        if question.is_whole and (notes.if_rejected or config.on_rejection) is Lapse.STAND_DOWN:
            return StandDown(decision.by, "rejected the plan, and nobody is paged then")
        return Stopped(f"{question.what} was rejected", EscalationTrigger.APPROVAL_REJECTED)
    if question.is_whole and (notes.if_expired or config.on_expiry) is Lapse.STAND_DOWN:
        return StandDown(NOBODY, "approved the plan in time, and nobody is paged then")
    return Stopped(f"nobody approved {question.what} in time", EscalationTrigger.APPROVAL_EXPIRED)


def _hopeless(context: Context, incident_id: str, question: _Question) -> str:
    wanted = whose.needs(context, incident_id, question.runbook, question.steps)
    return whose.unobtainable(context.config, wanted)


def _tell_asked(context: Context, incident_id: str, question: _Question) -> str:
    now = context.clock.now()
    expires_at = now + timedelta(seconds=question.timeout_s)
    if question.until is not None:
        expires_at = max(now, min(expires_at, question.until))
    what = "this plan" if question.is_whole else question.what
    wanted = whose.needs(context, incident_id, question.runbook, question.steps)
    takes = f" ({wanted})" if str(wanted) else ""
    others = rechoice.others(context.store.timeline(incident_id), question.runbook.id)
    offered = others if question.is_whole else ()
    text = (
        f"✋ Approval needed within {(expires_at - now).total_seconds():g} s{takes}: "
        f"`oncall-agent approve {incident_id}` "
        f"runs exactly {what} ({question.decides[:12]}){_instead(incident_id, offered)}"
        f"{_commands(question.steps)}"
    )
    data = {
        "plan_hash": question.decides,
        "expires_at": expires_at.isoformat(),
        "about": "plan" if question.is_whole else "step",
        NEEDS: wanted.as_data(),
        OTHERS: [[each.runbook_id, each.confidence, list(each.reasons)] for each in offered],
    }
    entry = Entry(f"{question.key}-asked", EventKind.APPROVAL_REQUESTED, text, data)
    changes = Changes(status=Status.AWAITING_APPROVAL, waits_until=expires_at, autonomy=question.autonomy)
    if not tell(context, incident_id, entry, changes=changes):
        return promised(context, incident_id, entry.key, name="expires_at")
    return expires_at.isoformat()


def _instead(incident_id: str, offered: Sequence[Candidate]) -> str:
    if not offered:
        return ""
    names = ", ".join(each.runbook_id for each in offered)
    return f"; `oncall-agent choose {incident_id} RUNBOOK` plans with another one that matches: {names}"


def _commands(steps: Sequence[PlannedStep]) -> str:
    """What a yes lets run, word by word, with what it changes."""
    lines = []
    for step in steps:
        if step.waits_for:
            missing = ", ".join(step.waits_for)
            lines.append(
                f"\n    {step.section} {step.index}: {step.title}  [bound when {missing} is captured]"
            )
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
        given = [vote.by for vote in context.store.votes(incident_id, question.decides)]
        text = f"⌛ Nobody approved {question.what} in time"
        if given:
            text = f"⌛ Not enough people approved {question.what} in time, only {', '.join(given)}"
        tell(context, incident_id, Entry(question.key, EventKind.APPROVAL_EXPIRED, text))
        return "expired"
    if decision.edited is not None:
        tell(context, incident_id, _edited(question, decision, decision.edited))
        return "edited"
    if decision.rechosen:
        tell(context, incident_id, _rechosen(question, decision))
        return "rechosen"
    tell(context, incident_id, _answered(question, decision))
    if not decision.approved:
        return "rejected"
    return "approved step by step" if decision.is_step_by_step else "approved"


def _answered(question: _Question, decision: Decision) -> Entry:
    kind = EventKind.APPROVED if decision.approved else EventKind.APPROVAL_REJECTED
    which = "" if question.is_whole else f" ({question.what})"
    how = ", step by step" if decision.is_step_by_step else ""
    text = f"{'👍 Approved' if decision.approved else '👎 Rejected'} by {decision.by}{which}{how}"
    return Entry(question.key, kind, text, {"plan_hash": decision.plan_hash}, actor=decision.by)


def _edited(question: _Question, decision: Decision, parameters: Mapping[str, str]) -> Entry:
    values = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    text = f"✏️ {decision.by} wants {values}: that is another plan, which needs its own approval"
    data = {"plan_hash": decision.plan_hash, "parameters": dict(parameters)}
    return Entry(question.key, EventKind.PARAMETERS_EDITED, text, data, actor=decision.by)


def _rechosen(question: _Question, decision: Decision) -> Entry:
    text = (
        f"👉 {decision.by} chose {decision.rechosen} in the place of {question.runbook.id}: "
        "that is another plan, which needs its own approval"
    )
    data = {"plan_hash": decision.plan_hash, "runbook": decision.rechosen}
    return Entry(question.key, EventKind.CHOSEN, text, data, actor=decision.by)
