"""A plan that is only shown: what a shadow would have run, or a human may run by hand; and what came of it."""

from __future__ import annotations

from agent.domain.decisions import Plan
from agent.domain.incident import Entry, EventKind
from agent.domain.runbook import Autonomy
from agent.pipeline import telling
from agent.pipeline.context import Context
from agent.pipeline.typed import as_typed

#: The key of the entry that shows what was not run.
KEY = "would-run"


def tell(context: Context, incident_id: str, autonomy: Autonomy, plan: Plan) -> bool:
    """Show it in the thread, as a person would type it; nothing is acknowledged and nothing runs."""
    typed = "".join(as_typed(step) for step in plan.steps)
    if autonomy is Autonomy.SHADOW:
        text = f"👻 Shadow: {plan.runbook_id} would have run:{typed}"
    else:
        text = f"💡 {plan.runbook_id} suggests, by hand it would be:{typed}"
    data = {"autonomy": autonomy.value, "runbook": plan.runbook_id, "plan_hash": plan.plan_hash}
    return telling.tell(context, incident_id, Entry(KEY, EventKind.PLANNED, text, data))
