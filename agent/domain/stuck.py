"""What the watchdog looks for: incidents past their time, attempts without an end, letters not delivered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.domain.incident import Status
from agent.domain.outbox import Channel


class Why(StrEnum):
    """Why an incident is stuck: a closed list, also the label of the metric."""

    NEVER_STARTED = "never_started"
    KILL_SWITCH = "kill_switch"
    BACKLOG = "backlog"
    OVERDUE = "overdue"
    NOBODY_AT_WORK = "nobody_at_work"
    TOO_MANY_RESTARTS = "too_many_restarts"
    OTHER_VERSION = "other_version"
    ATTEMPT_NEVER_ENDED = "attempt_never_ended"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Why it does not go on, and what a human should do about it, both in words."""

    why: Why
    reason: str
    to_do: str

    def __str__(self) -> str:
        return f"{self.reason}. To do: {self.to_do}"


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What began before these moments, and still stands where it stood, has taken too long.

    `waits_until` and `holds_until` are for what has an end of its own; `asked` for what earlier versions
    began, which did not write that end down.
    """

    accepted: datetime
    settling: datetime
    waits_until: datetime
    asked: datetime
    running: datetime
    holds_until: datetime
    held: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident that may be stuck, as far as the watchdog needs to know it.

    `is_held`: there is a run of it, under way or waiting; `wants_turn`: it waits for others to end.
    """

    incident_id: str
    status: Status
    service: str
    received_at: datetime
    since: datetime
    started_at: datetime | None = None
    waits_until: datetime | None = None
    is_held: bool = True
    wants_turn: bool = False


@dataclass(frozen=True, slots=True)
class LateAttempt:
    """A try of a step that should have ended long ago."""

    incident_id: str
    section: str
    step: int
    number: int
    title: str
    should_have_ended_at: datetime


@dataclass(frozen=True, slots=True)
class LateLetter:
    """What was to be told long ago and has not arrived."""

    id: int
    incident_id: str
    channel: Channel
    created_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class LateEvents:
    """What people did at the source and nobody has looked at."""

    count: int
    oldest_at: datetime
