"""Freeze windows: when nothing is changed, or only with a human's yes.

Times are those of the wall clock in the window's zone. Where a clock change makes a time happen twice or
not at all, the window is as long as it can be: it begins at the earlier moment and ends at the later one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

MINUTES_OF_A_DAY = 24 * 60
MINUTES_OF_A_WEEK = 7 * MINUTES_OF_A_DAY

#: So far ahead the end of a window is looked for whose occurrences follow each other without a gap.
_LOOK_AHEAD = timedelta(days=8)


class FreezeMode(StrEnum):
    """What a window still lets through: a plan that a human approves, or nothing at all."""

    APPROVE = "approve"
    NOTIFY = "notify"

    def is_within(self, passes: str) -> bool:
        """Whether a run that may go on in windows up to `passes` ("": in none) may go on in this one."""
        return passes in _PASSED_BY[self]


_PASSED_BY = {
    FreezeMode.APPROVE: (FreezeMode.APPROVE.value, FreezeMode.NOTIFY.value),
    FreezeMode.NOTIFY: (FreezeMode.NOTIFY.value,),
}


@dataclass(frozen=True, slots=True)
class Once:
    """From one moment to another; both aware."""

    starts: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these weekdays (0 is Monday) from a minute of the day on, for so many minutes of the wall clock."""

    days: frozenset[int]
    starts_min: int
    lasts_min: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """One entry of the calendar. Without services and runbooks it is about everything."""

    name: str
    mode: FreezeMode
    when: Once | Weekly
    zone: ZoneInfo
    services: tuple[str, ...] = ()
    runbooks: tuple[str, ...] = ()

    def open_until(self, now: datetime) -> datetime | None:
        """When the window that is open now ends, in its own zone; None while it is closed."""
        end = now
        while (later := self._end_at(end)) > end:
            end = later
            if end - now > _LOOK_AHEAD:
                break
        return None if end == now else end.astimezone(self.zone)

    def _end_at(self, moment: datetime) -> datetime:
        """When the occurrences that hold the moment are over; the moment itself if there is none."""
        return max(
            (ends for starts, ends in _near(self.when, moment) if starts <= moment < ends), default=moment
        )


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window that is open: which, how strict, and until when at least."""

    name: str
    mode: FreezeMode
    until: datetime

    def __str__(self) -> str:
        return f"freeze “{self.name}” until {self.until:%Y-%m-%d %H:%M %Z}"


def strictest(windows: Sequence[FreezeWindow], now: datetime) -> Freeze | None:
    """What is in force now; of several open windows the stricter one, then the one that lasts longer."""
    open_now = [
        Freeze(window.name, window.mode, until)
        for window in windows
        if (until := window.open_until(now)) is not None
    ]
    return max(open_now, key=lambda each: (each.mode is FreezeMode.NOTIFY, each.until), default=None)


def earliest(local: datetime, zone: ZoneInfo) -> datetime:
    """The first moment that a wall clock of the zone may be said to show this time at."""
    return min(_moments(local, zone))


def latest(local: datetime, zone: ZoneInfo) -> datetime:
    """The last such moment."""
    return max(_moments(local, zone))


def _moments(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Read with the offset before a change of the clock and with the one after it; mostly they are one."""
    before, after = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def _near(when: Once | Weekly, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """(start, end) of every occurrence that may hold the moment."""
    if isinstance(when, Once):
        yield when.starts, when.ends
        return
    today = now.astimezone(when.zone).date()
    days_back = when.lasts_min // MINUTES_OF_A_DAY + 2
    for back in range(-1, days_back + 1):
        day = today - timedelta(days=back)
        if day.weekday() in when.days:
            starts = datetime.combine(day, time()) + timedelta(minutes=when.starts_min)
            ends = starts + timedelta(minutes=when.lasts_min)
            yield earliest(starts, when.zone), latest(ends, when.zone)
