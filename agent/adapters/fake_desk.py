"""PagerDuty in memory, held to the same contract as the real adapters: for tests and for trying things out.

What was asked can be read afterwards; `fail_with` makes the next calls fail as the vendor would.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.domain.errors import Reason, ServiceError
from agent.ports import Page, SourceFacts


@dataclass(slots=True)
class FakeIncident:
    """One incident on the fake desk."""

    facts: SourceFacts
    notes: list[str] = field(default_factory=list)
    resolution: str = ""
    acknowledged_by: list[str] = field(default_factory=list)


class _Failing:
    """Fails as often as it was told to, then works."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._failures: list[ServiceError] = []

    def fail_with(self, *errors: ServiceError) -> None:
        """The next calls fail with these, one each."""
        with self._lock:
            self._failures.extend(errors)

    def _maybe_fail(self) -> None:
        if self._failures:
            raise self._failures.pop(0)


class FakeDesk(_Failing):
    """An IncidentDesk in memory."""

    def __init__(self, own_user_id: str = "PAGENT0") -> None:
        super().__init__()
        self._own_user_id = own_user_id
        self._incidents: dict[str, FakeIncident] = {}

    def add(self, source_id: str, facts: SourceFacts | None = None) -> FakeIncident:
        """Put an incident on the desk."""
        known = facts or SourceFacts(title="An incident")
        incident = FakeIncident(replace(known, status=known.status or "triggered"))
        with self._lock:
            self._incidents[source_id] = incident
        return incident

    def incident(self, source_id: str) -> FakeIncident:
        """How an incident stands; NOT_FOUND if there is none."""
        with self._lock:
            if source_id not in self._incidents:
                raise ServiceError(
                    "fake-desk", Reason.NOT_FOUND, f"there is no incident {source_id!r}", retryable=False
                )
            return self._incidents[source_id]

    def facts(self, source_id: str) -> SourceFacts:
        """The incident and its alerts: severity, labels, details."""
        with self._lock:
            self._maybe_fail()
            return self.incident(source_id).facts

    def acknowledge(self, source_id: str) -> str:
        """Tell that it is being worked on; a resolved incident is left as it is."""
        with self._lock:
            self._maybe_fail()
            incident = self.incident(source_id)
            if incident.facts.status == "resolved" or self._own_user_id in incident.acknowledged_by:
                return ""
            incident.acknowledged_by.append(self._own_user_id)
            incident.facts = replace(incident.facts, status="acknowledged")
            return self._own_user_id

    def note(self, source_id: str, text: str) -> None:
        """Add a note unless one with the same text is there."""
        with self._lock:
            self._maybe_fail()
            notes = self.incident(source_id).notes
            if text.strip() and text.strip() not in notes:
                notes.append(text.strip())

    def resolve(self, source_id: str, resolution: str) -> str:
        """Close it; what is closed stays as it is."""
        with self._lock:
            self._maybe_fail()
            incident = self.incident(source_id)
            if incident.facts.status == "resolved":
                return ""
            incident.resolution = resolution.strip()
            incident.facts = replace(incident.facts, status="resolved")
            return self._own_user_id

    def own_user_id(self) -> str:
        """The user that our writes are counted for."""
        with self._lock:
            self._maybe_fail()
            return self._own_user_id


class FakePager(_Failing):
    """A Pager in memory; `woken` has every page that woke somebody, `open_pages` those not cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[Page] = []
        self._open: dict[str, Page] = {}

    @property
    def open_pages(self) -> Sequence[Page]:
        """Pages that are not cleared, oldest first."""
        with self._lock:
            return list(self._open.values())

    def page(self, page: Page) -> None:
        """Trigger; the same dedup_key wakes nobody twice while it is open."""
        with self._lock:
            self._maybe_fail()
            if page.dedup_key not in self._open:
                self.woken.append(page)
            self._open[page.dedup_key] = page

    def clear(self, dedup_key: str) -> None:
        """Resolve what was triggered with this key; nothing happens if nothing is open."""
        with self._lock:
            self._maybe_fail()
            self._open.pop(dedup_key, None)
