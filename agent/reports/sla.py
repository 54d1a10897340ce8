"""How the queue of humans does: whether deadlines are kept, how long things take, what keeps coming back.

Pure: the store adds up days, here it becomes rates, means and weeks. An escalation counts in the period in
which it was made; one that is open and not overdue counts neither as kept nor as broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from agent.domain.queue import Action, Rank

#: What says that nothing had to be stopped: many of these mean that a rule is too eager.
_HARMLESS = frozenset({Action.ALLOW.value, Action.FALSE_ALARM.value})

#: A rule is called too eager from this many settled escalations and this share of harmless ones on.
_LEAST, _EAGER_SHARE = 5, 0.5


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over some escalations; seconds are summed over those that have them.

    `answered` and `unanswered`: those with a time to begin to look in, within which somebody did or did not.
    """

    made: int = 0
    settled: int = 0
    kept: int = 0
    broken: int = 0
    acknowledged: int = 0
    ack_s: float = 0.0
    timed: int = 0
    settle_s: float = 0.0
    answered: int = 0
    unanswered: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def compliance(self) -> float | None:
        """The share that was settled within its SLA; None where nothing counts yet."""
        counted = self.kept + self.broken
        return self.kept / counted if counted else None

    @property
    def response_compliance(self) -> float | None:
        """The share that somebody began to look at in its time; None where none has such a time."""
        counted = self.answered + self.unanswered
        return self.answered / counted if counted else None

    @property
    def mean_to_acknowledge_s(self) -> float | None:
        """From its making to the first claim (or its end, if nobody claimed it)."""
        return self.ack_s / self.acknowledged if self.acknowledged else None

    @property
    def mean_to_resolve_s(self) -> float | None:
        """From its making to its end."""
        return self.settle_s / self.timed if self.timed else None


@dataclass(frozen=True, slots=True)
class Day:
    """One day's escalations of one rank."""

    day: date
    rank: Rank
    tally: Tally


@dataclass(frozen=True, slots=True)
class Cause:
    """What calls humans: a trigger of ours or a policy rule, and how what it made was settled."""

    what: str
    made: int
    by_action: Mapping[str, int]

    @property
    def is_eager(self) -> bool:
        """Whether most of what it made was harmless: its threshold may be too low."""
        settled = sum(self.by_action.values())
        harmless = sum(count for action, count in self.by_action.items() if action in _HARMLESS)
        return settled >= _LEAST and harmless / settled >= _EAGER_SHARE


@dataclass(frozen=True, slots=True)
class Reviewer:
    """What one human settled."""

    name: str
    settled: int
    kept: int
    mean_to_resolve_s: float


@dataclass(frozen=True, slots=True)
class SlaReport:
    """The queue over a period."""

    since: datetime
    until: datetime
    days: Sequence[Day]
    causes: Sequence[Cause]
    reviewers: Sequence[Reviewer]
    repeat_consumers: Sequence[tuple[str, int]]
    hours: Mapping[int, int] = field(default_factory=dict)

    @property
    def total(self) -> Tally:
        """All of it."""
        return _sum(self.days)

    @property
    def by_rank(self) -> Mapping[Rank, Tally]:
        """For each rank, also one that had nothing."""
        return {rank: _sum([each for each in self.days if each.rank is rank]) for rank in Rank}

    @property
    def by_week(self) -> Mapping[date, Tally]:
        """For each week that had something, by its Monday, oldest first: the trend."""
        weeks: dict[date, Tally] = {}
        for each in sorted(self.days, key=lambda day: day.day):
            monday = each.day - timedelta(days=each.day.weekday())
            weeks[monday] = weeks.get(monday, Tally()) + each.tally
        return weeks

    @property
    def by_action(self) -> Mapping[str, int]:
        """How what was settled was settled, the most frequent first."""
        actions: dict[str, int] = {}
        for cause in self.causes:
            for action, count in cause.by_action.items():
                actions[action] = actions.get(action, 0) + count
        return dict(sorted(actions.items(), key=lambda each: (-each[1], each[0])))

    @property
    def trend(self) -> str:
        """Whether deadlines are kept better or worse: the later half of the weeks beside the earlier."""
        weeks = list(self.by_week.values())
        half = len(weeks) // 2
        earlier, later = (_add(part).compliance for part in (weeks[:half], weeks[half:]))
        if earlier is None or later is None or abs(later - earlier) < _NOTICEABLE:
            return "steady"
        return "improving" if later > earlier else "degrading"


#: A smaller change of the compliance rate is none.
_NOTICEABLE = 0.01


def as_json(report: SlaReport) -> dict[str, Any]:
    """As the API and `--json` show it."""
    return {
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "total": _shown(report.total),
        "by_severity": {rank.value: _shown(tally) for rank, tally in report.by_rank.items()},
        "by_week": [{"week": day.isoformat(), **_shown(tally)} for day, tally in report.by_week.items()],
        "trend": report.trend,
        "top_triggers": [
            {
                "trigger": each.what,
                "count": each.made,
                "actions": dict(each.by_action),
                "eager": each.is_eager,
            }
            for each in report.causes
        ],
        "by_action": dict(report.by_action),
        "reviewers": [
            {
                "name": each.name,
                "settled": each.settled,
                "within_sla": each.kept,
                "mean_to_resolve_s": round(each.mean_to_resolve_s, 1),
            }
            for each in report.reviewers
        ],
        "repeat_consumers": [{"consumer": name, "count": count} for name, count in report.repeat_consumers],
        "by_hour": {f"{hour:02}": report.hours.get(hour, 0) for hour in range(24)},
    }


def _shown(tally: Tally) -> dict[str, Any]:
    return {
        "made": tally.made,
        "settled": tally.settled,
        "within_sla": tally.kept,
        "breaches": tally.broken,
        "compliance": _rounded(tally.compliance, 4),
        "responses_within_sla": tally.answered,
        "responses_late": tally.unanswered,
        "response_compliance": _rounded(tally.response_compliance, 4),
        "mean_to_acknowledge_s": _rounded(tally.mean_to_acknowledge_s, 1),
        "mean_to_resolve_s": _rounded(tally.mean_to_resolve_s, 1),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _sum(days: Sequence[Day]) -> Tally:
    return _add([each.tally for each in days])


def _add(tallies: Sequence[Tally]) -> Tally:
    total = Tally()
    for each in tallies:
        total = total + each
    return total
