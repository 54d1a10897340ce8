"""Agreement: the plan that may run, after as many edits and other choices as humans want, each asked anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from agent.domain.alert import Alert
from agent.domain.decisions import EscalationTrigger, Matched, Plan, StandDown, Stopped, Terms
from agent.domain.runbook import Runbook
from agent.pipeline import approval, freezes, planning, rechoice, stops
from agent.pipeline.approval import Edited, Go
from agent.pipeline.context import Context
from agent.pipeline.kept import kept_runbook
from agent.pipeline.rechoice import Rechosen
from agent.pipeline.terms import settled_terms
from agent.ports import Run


@dataclass(frozen=True, slots=True)
class Agreed:
    """This plan of this runbook may run, under these terms."""

    plan: Plan
    terms: Terms
    runbook: Runbook


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the next plan is made of: a runbook, the advisor's values for it, and the humans' ones."""

    runbook: Runbook
    chosen: dict[str, str]
    edited: dict[str, str]


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
    """Ask for the plan; who edits a parameter or chooses another runbook kills that question.

    The plan that is made then is asked for, whatever its runbook may do alone.
    """
    wanted = _Wanted(runbook, dict(found.parameters), {})
    for number in count(1):
        answer = approval.ask(
            run, context, incident_id, terms=terms, plan=plan, runbook=wanted.runbook, number=number
        )
        match answer:
            case Stopped() | StandDown():
                return answer
            case Go(step_by_step):
                return Agreed(plan, replace(terms, step_by_step=step_by_step), wanted.runbook)
            case Edited(parameters):
                wanted = replace(wanted, edited=wanted.edited | dict(parameters))
            case Rechosen():
                other = _other(run, context, incident_id, answer, number + 1)
                if isinstance(other, Stopped):
                    return other
                wanted = _Wanted(other, {}, {})
        make = partial(_planned, context, incident_id, alert, wanted, by=answer.by, number=number + 1)
        plan = run.step(f"plan-{number + 1}", make, returns=Plan)
        if plan.refusals:
            return Stopped(f"Refused: {plan.refusals[0]}", EscalationTrigger.REFUSED)
        if isinstance(answer, Rechosen):
            settle = partial(settled_terms, context, incident_id, wanted.runbook, plan, number=number + 1)
            terms = run.step(f"terms-{number + 1}", settle, returns=Terms)
            if (frozen := freezes.ended_by(terms)) is not None:
                return frozen
    raise AssertionError("unreachable")


def _other(run: Run, context: Context, incident_id: str, answer: Rechosen, number: int) -> Runbook | Stopped:
    """The runbook that was chosen, in the revision that was offered, unless it is stopped."""
    found: Matched | None = run.step(
        f"rechoose-{number}",
        lambda: rechoice.take(context, incident_id, answer, number=number),
        returns=Matched | None,
    )
    if found is None:
        return Stopped(f"Refused: {answer.runbook_id} had not been offered", EscalationTrigger.REFUSED)
    runbook = kept_runbook(context, found.runbook_id, found.revision)
    stopped = stops.ask(run, context, incident_id, before=f"plan-{number}", runbook=runbook)
    return stopped or runbook


def _planned(
    context: Context, incident_id: str, alert: Alert, wanted: _Wanted, *, by: str, number: int
) -> Plan:
    return planning.again(
        context,
        incident_id,
        wanted.runbook,
        alert,
        chosen=wanted.chosen,
        edited=wanted.edited,
        by=by,
        number=number,
    )
