"""SLA: until when somebody has to have settled an escalation, and when its time runs short.

Defaults are those of the published queue: critical 15 minutes, high 1 hour, medium 4 hours, low 24 hours;
amber when half of the time is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from agent.domain.queue import Escalated, Rank

DEFAULT_TARGETS: Mapping[Rank, timedelta] = {
    Rank.CRITICAL: timedelta(minutes=15),
    Rank.HIGH: timedelta(hours=1),
    Rank.MEDIUM: timedelta(hours=4),
    Rank.LOW: timedelta(hours=24),
}

#: What is left of the time when an escalation turns amber.
_AMBER_SHARE = 0.5

#: A working day comes at least once within so many days, holidays of a calendar week included.
_LOOK_AHEAD_DAYS = 3_660


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """When an SLA's time runs: on these weekdays (0 is Monday), between two times of the zone's clock."""

    days: frozenset[int]
    opens: time
    closes: time
    zone: ZoneInfo

    def shifts(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """(opening, closing) of every working day that is not over yet, soonest first."""
        today = start.astimezone(self.zone).date()
        for ahead in range(_LOOK_AHEAD_DAYS):
            day = today + timedelta(days=ahead)
            if day.weekday() not in self.days:
                continue
            opens = datetime.combine(day, self.opens, self.zone)
            closes = datetime.combine(day, self.closes, self.zone)
            if closes.timestamp() > start.timestamp():
                yield max(opens, start, key=datetime.timestamp), closes


@dataclass(frozen=True, slots=True)
class NextBusinessDay:
    """Until the end of the working day after this one."""

    hours: BusinessHours

    def after(self, start: datetime) -> datetime:
        """When that day closes."""
        today = start.astimezone(self.hours.zone).date()
        for opens, closes in self.hours.shifts(start):
            if opens.astimezone(self.hours.zone).date() > today:
                return datetime.fromtimestamp(closes.timestamp(), tz=start.tzinfo)
        raise ValueError("business hours without a single working day")


@dataclass(frozen=True, slots=True)
class Sla:
    """The time to settle an escalation of each rank; ranks in `in_hours` count working time alone.

    `responses`: the time until somebody has to have begun to look, for ranks where that is asked for.
    """

    targets: Mapping[Rank, timedelta] = field(default_factory=lambda: dict(DEFAULT_TARGETS))
    hours: BusinessHours | None = None
    in_hours: frozenset[Rank] = frozenset()
    responses: Mapping[Rank, timedelta | NextBusinessDay] = field(default_factory=dict)

    def deadline(self, rank: Rank, created_at: datetime) -> datetime:
        """When the time is over."""
        return self._after(rank, created_at, self.targets[rank])

    def amber_at(self, rank: Rank, created_at: datetime) -> datetime:
        """When half of the time is left."""
        return self._after(rank, created_at, self.targets[rank] * (1 - _AMBER_SHARE))

    def respond_by(self, rank: Rank, created_at: datetime) -> datetime | None:
        """When somebody has to have begun to look; None if nobody asks that."""
        wanted = self.responses.get(rank)
        if isinstance(wanted, NextBusinessDay):
            return wanted.after(created_at)
        return None if wanted is None else created_at + wanted

    def _after(self, rank: Rank, start: datetime, span: timedelta) -> datetime:
        if self.hours is None or rank not in self.in_hours:
            return start + span
        for opens, closes in self.hours.shifts(start):
            room = timedelta(seconds=closes.timestamp() - opens.timestamp())
            if span <= room:
                # in absolute time: a clock that is set back in between gives nobody an hour more
                return datetime.fromtimestamp(opens.timestamp() + span.total_seconds(), tz=start.tzinfo)
            span -= room
        raise ValueError("business hours without a single working day")


class Light(StrEnum):
    """What a card shows of an escalation's time."""

    GREEN = "green"
    AMBER = "amber"
    BREACHED = "breached"


def light(item: Escalated, now: datetime) -> Light:
    """How its time stands; one that is settled keeps the light that it was settled under."""
    moment = item.resolution.at if item.resolution is not None else now
    if moment >= item.deadline or item.breached_at is not None:
        return Light.BREACHED
    return Light.AMBER if moment >= item.amber_at else Light.GREEN


def kept(item: Escalated) -> bool | None:
    """Whether the SLA was kept; None while that is open."""
    if item.breached_at is not None:
        return False
    if item.resolution is None:
        return None
    return item.resolution.at < item.deadline
