"""Counts the timeline for the metrics, behind the work: nothing that handles an incident waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.adapters.database import moment
from agent.adapters.store import Store
from agent.domain.incident import MANUAL_SOURCE, EventKind
from agent.reports.measures import Line, amounts

#: So many entries in one look; after a full one at once the next.
_MOST = 500

_EVERY_S, _AT_ONCE_S = 2.0, 0.05

#: Kinds that are measured from when their incident began.
_TIMED = frozenset({EventKind.RECEIVED, EventKind.ACKNOWLEDGED, EventKind.RESOLVED, EventKind.QUEUE})


class Meter:
    """One process counts for all of them; what it counted, and how far, is written in one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tick(self) -> float:
        """Count what is new; gives the seconds before it is worth looking again."""
        before = self._store.metered()
        entries = list(self._store.audit_entries(after=before, limit=_MOST))
        if entries:
            self._store.meter(before, int(entries[-1]["seq"]), amounts(self._lines(entries)))
        return _AT_ONCE_S if len(entries) == _MOST else _EVERY_S

    def _lines(self, entries: Sequence[Mapping[str, Any]]) -> list[Line]:
        timed = [str(each["incident"]) for each in entries if EventKind(each["kind"]) in _TIMED]
        begun = self._store.begun(timed) if timed else {}
        lines = []
        for each in entries:
            received_at, fired_at, source = begun.get(str(each["incident"]), (None, None, ""))
            if source == MANUAL_SOURCE:
                received_at = fired_at = None  # somebody typed it: nothing was detected or waited for
            at, data = moment(each["at"]), each["data"]
            lines.append(Line(EventKind(each["kind"]), at, data, received_at, fired_at))
        return lines
