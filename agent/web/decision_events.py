"""Decision events that are taken in: redacted, kept once each, and told in the timeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from agent.adapters.store import Store
from agent.domain.decision_event import DecisionEvent
from agent.domain.incident import Entry, EventKind
from agent.safety.redaction import Redactor

#: The story that tells of events that were taken in for no incident.
NO_INCIDENT = "decision-events"


@dataclass(frozen=True, slots=True)
class TakenIn:
    """How many there were, how many of them were new, and what was no event."""

    read: int
    new: int
    unread: int


def take_in(
    store: Store,
    redactor: Redactor,
    events: Iterable[DecisionEvent | None],
    *,
    where: str,
    by: str,
    incident_id: str = "",
) -> TakenIn:
    """Keep them; where anything is new, the incident's timeline tells it and so does the audit log."""
    counted = _Counted(redactor)
    new = store.keep_events(counted.passed(events))
    taken = TakenIn(counted.read, new, counted.unread)
    if new:
        at = store.clock.now()
        text = f"📥 {new} decision events were taken in from {where} by {by}"
        data = {"read": taken.read, "new": new, "unread": taken.unread, "from": where}
        entry = Entry(f"events-{at.isoformat()}", EventKind.NOTE, redactor.text(text), data, by)
        store.record(incident_id or NO_INCIDENT, [entry])
    return taken


class _Counted:
    """Counts what goes by, and clears what is kept of it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.read = 0
        self.unread = 0

    def passed(self, events: Iterable[DecisionEvent | None]) -> Iterator[DecisionEvent]:
        for event in events:
            if event is None:
                self.unread += 1
                continue
            self.read += 1
            clear = self._redactor.text
            yield replace(
                event,
                user=clear(event.user),
                team=clear(event.team),
                evaluations=tuple(replace(each, policy=clear(each.policy)) for each in event.evaluations),
            )
