"""The tickets of Keeptrusts' escalations: what is opened with one, and what is closed with it."""

from __future__ import annotations

from collections.abc import Sequence

from agent.config import Config
from agent.domain.keeptrusts import KeeptrustsEscalation
from agent.domain.outbox import Message


def ticket_for(escalation: KeeptrustsEscalation, *, config: Config) -> Sequence[Message]:
    """The letters that open its ticket, posted in the transaction that takes it into the queue."""
    del escalation, config
    return ()


def ticket_closed(escalation_id: str, resolution: str, note: str, *, config: Config) -> Sequence[Message]:
    """The letters that close its ticket, posted in the transaction that settles it."""
    del escalation_id, resolution, note, config
    return ()
