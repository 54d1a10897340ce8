"""Approval: a human's yes to exactly this plan, within its time."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta

from agent.domain.decisions import EscalationTrigger, Plan, StandDown, Stopped, Terms
from agent.domain.effects import EffectClass
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes, Decision
from agent.domain.runbook import Autonomy
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.ports import Run


def ask(run: Run, context: Context, incident_id: str, terms: Terms, plan: Plan) -> Stopped | StandDown | None:
    """None lets the plan run; below `approve` the runbook only says what it would do."""
    autonomy = Autonomy(terms.autonomy)
    match autonomy:
        case Autonomy.AUTO:
            return None
        case Autonomy.APPROVE:
            return _wait_for_yes(run, context, incident_id, terms, plan)
        case Autonomy.SHADOW | Autonomy.SUGGEST:
            reason = f"this runbook's autonomy is {autonomy}: it shows its plan and runs nothing"
            return Stopped(reason, EscalationTrigger.NOT_AUTONOMOUS)


def _wait_for_yes(
    run: Run, context: Context, incident_id: str, terms: Terms, plan: Plan
) -> Stopped | StandDown | None:
    expires_at = datetime.fromisoformat(
        run.step("approval-asked", lambda: _tell_asked(context, incident_id, terms, plan), returns=str)
    )
    run.wait("decision", terms.approval_timeout_s)
    outcome: str = run.step("approval", lambda: _settle(context, incident_id, plan, expires_at), returns=str)
    match outcome:
        case "approved":
            return None
        case "stood_down":
            return context.store.stand_down_of(incident_id) or StandDown("somebody", "took over")
        case "rejected":
            return Stopped("the plan was rejected", EscalationTrigger.APPROVAL_REJECTED)
        case _:
            return Stopped("nobody approved the plan in time", EscalationTrigger.APPROVAL_EXPIRED)


def _tell_asked(context: Context, incident_id: str, terms: Terms, plan: Plan) -> str:
    timeout_s = terms.approval_timeout_s
    expires_at = context.clock.now() + timedelta(seconds=timeout_s)
    text = (
        f"✋ Approval needed within {timeout_s:g} s: `oncall-agent approve {incident_id}` "
        f"runs exactly this plan ({plan.plan_hash[:12]}){_commands(plan)}"
    )
    tell(
        context,
        incident_id,
        Entry(
            "approval-asked",
            EventKind.APPROVAL_REQUESTED,
            text,
            {"plan_hash": plan.plan_hash, "expires_at": expires_at.isoformat()},
        ),
        changes=Changes(status=Status.AWAITING_APPROVAL),
    )
    return expires_at.isoformat()


def _commands(plan: Plan) -> str:
    """What a yes lets run, word by word, with what it changes."""
    lines = []
    for step in (*plan.steps, *plan.verify, *plan.rollback):
        for command in step.commands:
            changes = [each for each in command.effects if each.effect_class is not EffectClass.READ]
            price = ", ".join(f"{each.count} × {each.effect_class}" for each in changes) or "reads"
            lines.append(f"\n    {step.section} {step.index}: {shlex.join(command.argv)}  [{price}]")
    return "".join(lines)


def _settle(context: Context, incident_id: str, plan: Plan, expires_at: datetime) -> str:
    """What was decided; a yes that came after the expiry is no yes."""
    if context.store.stand_down_of(incident_id) is not None:
        return "stood_down"
    decision = context.store.decision(incident_id, plan.plan_hash)
    if decision is None or decision.at > expires_at:
        entry = Entry("approval", EventKind.APPROVAL_EXPIRED, "⌛ Nobody approved the plan in time")
        tell(context, incident_id, entry)
        return "expired"
    tell(context, incident_id, _answered(decision))
    return "approved" if decision.approved else "rejected"


def _answered(decision: Decision) -> Entry:
    kind = EventKind.APPROVED if decision.approved else EventKind.APPROVAL_REJECTED
    text = f"{'👍 Approved' if decision.approved else '👎 Rejected'} by {decision.by}"
    return Entry("approval", kind, text, {"plan_hash": decision.plan_hash}, actor=decision.by)
