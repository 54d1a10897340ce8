"""What is kept of hand-overs, and the way to another agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.domain.handoffs import HandedIn
from agent.domain.incident import Entry
from agent.domain.outbox import Message


class HandoffStore(Protocol):
    """Incidents that other agents handed to this one."""

    def keep_handed_in(self, handed: HandedIn) -> None:
        """Write it down before its incident is opened; what is there already stays as it is."""
        ...

    def handed_in(self, handoff_id: str) -> HandedIn | None:
        """One by its id, which is its incident's id at the source."""
        ...

    def answerable(self, most: int) -> Sequence[tuple[HandedIn, str, str]]:
        """(it, its incident, the incident that it went with) of those that have ended, not yet answered."""
        ...

    def answer_handed_in(
        self, handoff_id: str, outcome: str, incident_id: str, entry: Entry, messages: Sequence[Message]
    ) -> bool:
        """Answered from now on, told and posted in one transaction; False if it was answered before."""
        ...


class OtherAgent(Protocol):
    """Posts to another agent. ServiceError if it was not taken; one that cannot be retried is a refusal."""

    def post(self, path: str, body: Mapping[str, object], *, key: str) -> None:
        """Sign it and post it once; `path` is put behind the agent's address."""
        ...
