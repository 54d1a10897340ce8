"""A plan that is only shown: what a shadow would have run, or a human may run; and what came of it."""

from __future__ import annotations

from agent.domain.decisions import Plan, StandDown
from agent.domain.incident import Entry, EventKind
from agent.domain.records import Changes
from agent.domain.runbook import Autonomy
from agent.pipeline import earned, telling
from agent.pipeline.context import Context
from agent.pipeline.typed import as_typed
from agent.reports.summary import duration

#: The key of the entry that shows what was not run.
KEY = "would-run"

_SHADOW = Autonomy.SHADOW.value


def tell(context: Context, incident_id: str, autonomy: Autonomy, plan: Plan) -> bool:
    """Show it in the thread, as a person would type it; nothing is acknowledged and nothing runs."""
    typed = "".join(as_typed(step) for step in plan.steps)
    if autonomy is Autonomy.SHADOW:
        text = f"👻 Shadow: {plan.runbook_id} would have run:{typed}"
    else:
        text = f"💡 {plan.runbook_id} suggests, by hand it would be:{typed}"
    data = {"autonomy": autonomy.value, "runbook": plan.runbook_id, "typed": typed}
    return telling.tell(context, incident_id, Entry(KEY, EventKind.PLANNED, text, data))


def followed(context: Context, incident_id: str, by_whom: StandDown) -> bool:
    """A human resolved what a shadow had only watched: told beside what it would have run, and kept.

    Whether it was the same is for who reads it to judge: the source does not say what a human did.
    """
    timeline = context.store.timeline(incident_id)
    shown = next(
        (each for each in timeline if each.key == KEY and each.data.get("autonomy") == _SHADOW), None
    )
    incident = context.store.incident(incident_id)
    if shown is None or by_whom.is_by_itself or not incident.status.is_terminal:
        return False
    took = duration((context.clock.now() - incident.received_at).total_seconds())
    how = f"{by_whom.by} {by_whom.how} after {took}"
    text = f"👻 {how}. The shadow of {incident.runbook_id} would have run:{shown.data.get('typed', '')}"
    entry = Entry("followed", EventKind.NOTE, text, {"runbook": incident.runbook_id, "by": by_whom.by})
    changes = Changes(earned=earned.by_hand(context, incident, context.redactor.text(how)))
    return telling.tell(context, incident_id, entry, changes=changes)
