"""The processes that work on one database, as their table tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a process does: answer the web, work on incidents, or both."""

    ALL = "all"
    WEB = "web"
    WORKER = "worker"

    @property
    def serves_web(self) -> bool:
        """Whether webhooks and the API come in here."""
        return self is not Role.WORKER

    @property
    def works(self) -> bool:
        """Whether runs, senders, schedules and the watchdog live here."""
        return self is not Role.WEB


@dataclass(frozen=True, slots=True)
class Executor:
    """One process, past or present.

    `taken_by` names who took its work over; a process that finds itself taken over must end.
    """

    executor_id: str
    role: Role
    host: str
    version: str
    started_at: datetime
    seen_at: datetime
    left_at: datetime | None = None
    taken_by: str = ""
