"""Agreement: the plan that may run, after as many edits of its parameters as humans want, each asked anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from agent.domain.alert import Alert
from agent.domain.decisions import EscalationTrigger, Matched, Plan, StandDown, Stopped, Terms
from agent.domain.runbook import Runbook
from agent.pipeline import approval, planning
from agent.pipeline.approval import Edited
from agent.pipeline.context import Context
from agent.ports import Run


@dataclass(frozen=True, slots=True)
class Agreed:
    """This plan may run, under these terms."""

    plan: Plan
    terms: Terms


def agree(
    run: Run,
    context: Context,
    incident_id: str,
    *,
    alert: Alert,
    found: Matched,
    runbook: Runbook,
    plan: Plan,
    terms: Terms,
) -> Agreed | Stopped | StandDown:
    """Ask for the plan; who edits a parameter kills that question, and the plan made from it is asked for."""
    edited: dict[str, str] = {}
    for number in count(1):
        answer = approval.ask(
            run, context, incident_id, terms=terms, plan=plan, runbook=runbook, number=number
        )
        if isinstance(answer, Stopped | StandDown):
            return answer
        if not isinstance(answer, Edited):
            return Agreed(plan, replace(terms, step_by_step=answer.step_by_step))
        edited |= answer.parameters
        make = partial(
            planning.again,
            context,
            incident_id,
            runbook,
            alert,
            chosen=found.parameters,
            edited=dict(edited),
            by=answer.by,
            number=number + 1,
        )
        plan = run.step(f"plan-{number + 1}", make, returns=Plan)
        if plan.refusals:
            return Stopped(f"Refused: {plan.refusals[0]}", EscalationTrigger.REFUSED)
    raise AssertionError("unreachable")
