"""What Keeptrusts' escalations need of the store, and of Keeptrusts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.domain.incident import Entry
from agent.domain.keeptrusts import KeeptrustsResolution
from agent.domain.outbox import Message
from agent.domain.queue import Escalated
from agent.ports.stores import QueueStore


class KeeptrustsStore(QueueStore, Protocol):
    """The queue, and what was said to be over before it was said to be there."""

    def keeptrusts_early(self, escalation_id: str) -> KeeptrustsResolution | None:
        """How one ended that was never told to be there; None if none is known to be over."""
        ...

    def keeptrusts_over_early(self, over: KeeptrustsResolution, entry: Entry) -> bool:
        """Remember that it is over; False, and nothing is done, if it is in the queue or remembered."""
        ...

    def keeptrusts_add(
        self,
        item: Escalated,
        entries: Sequence[Entry],
        messages: Sequence[Message],
        *,
        escalation_id: str,
        is_over: bool,
    ) -> bool:
        """Put it into the queue; False, and nothing is done, if it is there or not over as it was thought."""
        ...


class Keeptrusts(Protocol):
    """Where a held response waits for a human's word. Raises ServiceError."""

    def resolve(self, escalation_id: str, resolution: str, notes: str) -> bool:
        """Settle it there; False if it was settled there already."""
        ...
