"""Which plan a typed yes is meant for: without a hash it is clear only while one was asked about."""

from __future__ import annotations

from agent.domain.incident import EventKind, Incident
from agent.ports import Records

#: As the thread and the pages show a plan's hash.
_SHOWN = 12


_CHANGED = frozenset({EventKind.PARAMETERS_EDITED, EventKind.CHOSEN})


def unclear(store: Records, incident: Incident, *, by: str) -> str:
    """Why a yes that names no plan may be meant for an earlier one, and what to type; "" if it cannot.

    Between reading a plan and typing, somebody else may have edited it: the yes would be to what they did not
    read.
    """
    timeline = store.timeline(incident.id)
    asked = [event for event in timeline if event.kind is EventKind.APPROVAL_REQUESTED]
    if not asked or asked[-1].data.get("about") == "step":
        return ""
    changed = [event.actor for event in timeline if event.kind in _CHANGED]
    if changed[-1:] == [by]:
        return ""
    plans = {str(event.data["plan_hash"]) for event in asked if event.data.get("about") != "step"}
    if len(plans) < 2:
        return ""
    now = str(asked[-1].data["plan_hash"])[:_SHOWN]
    return (
        f"{incident.id} has asked about {len(plans)} plans by now; read the last one, {now}, and name it "
        "with your yes"
    )
