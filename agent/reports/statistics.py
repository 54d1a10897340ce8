"""How the agent did over a period: counted by the store, shaped here for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from agent.reports.measures import UNTIMED, Means

#: The longest period that is drawn day by day; beyond it, week by week.
_MOST_DAYS = 92

#: Escalations in a row that one title needs before a runbook is worth writing for it.
LEAST_FOR_A_RUNBOOK = 2


@dataclass(frozen=True, slots=True)
class Ends:
    """How incidents ended on one day, or in one week from that day on."""

    day: date
    resolved: int = 0
    escalated: int = 0
    stood_down: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.resolved + self.escalated + self.stood_down


@dataclass(frozen=True, slots=True)
class RunbookRecord:
    """How one runbook did; `mean_s` is from the alert to the end of what it resolved."""

    runbook: str
    resolved: int
    escalated: int
    stood_down: int
    mean_s: float | None

    @property
    def total(self) -> int:
        """All of its incidents."""
        return self.resolved + self.escalated + self.stood_down

    @property
    def share(self) -> float:
        """What part of them it resolved alone."""
        return self.resolved / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Alerts that no runbook answered, which are one and the same by what they say."""

    title: str
    service: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """One name and how often."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the store counted of the incidents that ended within a period.

    `hours`: how many alerts came on each weekday (0 is Monday) and hour of UTC.
    """

    since: datetime
    until: datetime
    days: tuple[Ends, ...] = ()
    runbooks: tuple[RunbookRecord, ...] = ()
    services: tuple[Counted, ...] = ()
    hours: Mapping[tuple[int, int], int] | None = None
    wanted: tuple[Wanted, ...] = ()
    means: Means = UNTIMED

    @property
    def resolved(self) -> int:
        """Incidents that the agent resolved alone."""
        return sum(each.resolved for each in self.days)

    @property
    def total(self) -> int:
        """All that ended."""
        return sum(each.total for each in self.days)

    @property
    def resolved_share(self) -> float | None:
        """What part it resolved alone; None while nothing has ended."""
        return self.resolved / self.total if self.total else None


def without_gaps(found: Sequence[Ends], since: datetime, until: datetime) -> tuple[Ends, ...]:
    """Every day of the period, also those on which nothing ended; weeks if it is long."""
    by_day = {each.day: each for each in found}
    first, last = since.date(), (until - timedelta(microseconds=1)).date()
    days = [by_day.get(day, Ends(day)) for day in _days(first, last)]
    return tuple(days) if len(days) <= _MOST_DAYS else tuple(_weeks(days))


def _days(first: date, last: date) -> Iterator[date]:
    for ahead in range((last - first).days + 1):
        yield first + timedelta(days=ahead)


def _weeks(days: Sequence[Ends]) -> Iterator[Ends]:
    for start in range(0, len(days), 7):
        week = days[start : start + 7]
        yield Ends(
            week[0].day,
            sum(each.resolved for each in week),
            sum(each.escalated for each in week),
            sum(each.stood_down for each in week),
        )
