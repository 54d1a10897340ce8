"""Alerts of one service that come in together may be one trouble: each thread says which the others are."""

from __future__ import annotations

from datetime import timedelta

from agent.domain.incident import Entry, EventKind, Incident
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.reports.summary import duration

#: More of them are not named.
_NAMED = 5


def tell_related(context: Context, incident: Incident) -> None:
    """Name those that came in before it within the window, here and in their threads; each has its turn."""
    window = timedelta(seconds=context.config.intake.group_window_s)
    since = incident.received_at - window
    before = context.store.related_before(incident.id, since=since, limit=_NAMED)
    if not before:
        return
    for other in before:
        gap = duration((incident.received_at - other.received_at).total_seconds())
        text = f"🔗 Related: {_named(incident)} of the same service came {gap} later"
        tell(context, other.id, Entry(f"related-{incident.id}", EventKind.NOTE, text, {"to": incident.id}))
    lines = "".join(f"\n    {_named(other)}, {other.status.value}" for other in before)
    text = f"🔗 Related: of the same service within {duration(window.total_seconds())} before{lines}"
    data = {"to": [other.id for other in before]}
    tell(context, incident.id, Entry("related", EventKind.NOTE, text, data))


def _named(incident: Incident) -> str:
    return f"{incident.id} “{incident.alert.title}”"
