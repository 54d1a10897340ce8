"""What today's runbooks would have made of a team's pages of the past; counted, nothing is run."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import PurePosixPath

from agent.domain.history import PastAlert
from agent.reports.backtest_clusters import clusters, plain_title

_SHOWN = 20
_CHOICES = 3
#: The same page again within this time is flapping, not a new problem (config `escalation.flapping`).
_SOON = timedelta(hours=1)
_NOISY = 3


class Decision(StrEnum):
    """What would have been done: one runbook alone, a human's choice, or nothing."""

    MATCH = "match"
    AMBIGUOUS = "ambiguous"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """A runbook and how probable it is that it answers; `path` is its file."""

    runbook: str
    confidence: float
    path: str = ""

    def is_named(self, name: str) -> bool:
        """Whether a label means this runbook: by id, by path, or by the file's name."""
        wanted = name.strip().removesuffix(".md").casefold()
        path = self.path.removesuffix(".md").casefold()
        return wanted in (self.runbook.removesuffix(".md").casefold(), path, PurePosixPath(path).name)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One page of the past and what would have been done; `choices` are the best first."""

    past: PastAlert
    decision: Decision
    choices: tuple[Choice, ...] = ()

    @property
    def best(self) -> Choice | None:
        """The runbook that would have been taken, or offered first."""
        return self.choices[0] if self.choices and self.decision is not Decision.NONE else None


@dataclass(frozen=True, slots=True)
class RunbookUse:
    """How much of the pages one runbook would have taken alone."""

    runbook: str
    count: int
    share: float
    confidence: float
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Pages for which the same runbooks would have been offered to a human."""

    runbooks: tuple[str, ...]
    count: int
    title: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Pages of one kind that no runbook answers: the runbook to write next."""

    title: str
    count: int
    share: float
    words: tuple[str, ...]
    services: tuple[tuple[str, int], ...]
    nearest: str
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """One alert that came again and again. `soon`: within an hour of the one before."""

    title: str
    service: str
    count: int
    soon: int
    share: float
    gap_s: float | None
    runbook: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """Pages for which another runbook (or none, "") was meant by their labels than was taken."""

    title: str
    taken: str
    meant: str
    count: int
    confidence: float
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """How the decisions compare with what humans said.

    `asked_for_none`: choices were offered where no runbook is right; a human was needed anyway.
    """

    count: int
    right: int
    wrong: int
    offered: int
    offered_without: int
    missed: int
    rightly_none: int
    asked_for_none: int
    mistakes: tuple[Mistake, ...]

    @property
    def precision(self) -> float | None:
        """Of those taken alone, how many rightly."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None


@dataclass(frozen=True, slots=True)
class Backtest:
    """The whole report."""

    outcomes: tuple[Outcome, ...]
    counts: Mapping[Decision, int]
    first: datetime | None
    last: datetime | None
    runbooks: tuple[RunbookUse, ...]
    doubts: tuple[Doubt, ...]
    wanted: tuple[Wanted, ...]
    noise: tuple[Noise, ...]
    noise_count: int
    hours: tuple[Mapping[Decision, int], ...]
    days: tuple[Mapping[Decision, int], ...]
    confidences: tuple[int, ...]
    labelled: Labelled | None = None

    @property
    def total(self) -> int:
        """All pages."""
        return len(self.outcomes)

    def share(self, decision: Decision) -> float:
        """The part of all pages."""
        return self.counts[decision] / self.total if self.total else 0.0


def backtest(outcomes: Sequence[Outcome], *, labels: bool = False) -> Backtest:
    """The same outcomes give the same report, in whatever order they come."""
    ordered = tuple(sorted(outcomes, key=_when))
    times = [outcome.past.at for outcome in ordered if outcome.past.at is not None]
    noise = _noise(ordered)
    return Backtest(
        outcomes=ordered,
        counts=_counts(ordered),
        first=min(times, default=None),
        last=max(times, default=None),
        runbooks=_runbooks(ordered),
        doubts=_doubts(ordered),
        wanted=_wanted(ordered),
        noise=noise[:_SHOWN],
        noise_count=sum(each.soon for each in noise),
        hours=_by(ordered, [at.astimezone(UTC).hour for at in times], 24),
        days=_by(ordered, [at.astimezone(UTC).weekday() for at in times], 7),
        confidences=_confidences(ordered),
        labelled=_labelled(ordered) if labels else None,
    )


def _when(outcome: Outcome) -> tuple[bool, float, str, str]:
    at = outcome.past.at
    return (at is None, at.timestamp() if at is not None else 0.0, outcome.past.id, outcome.past.alert.title)


def _counts(outcomes: Sequence[Outcome]) -> dict[Decision, int]:
    counts = Counter(outcome.decision for outcome in outcomes)
    return {decision: counts[decision] for decision in Decision}


def _by(outcomes: Sequence[Outcome], slots: Sequence[int], size: int) -> tuple[Mapping[Decision, int], ...]:
    """Counts per hour or day; `slots` are those of the outcomes that have a time, in their order."""
    counts = [dict.fromkeys(Decision, 0) for _ in range(size)]
    timed = (outcome for outcome in outcomes if outcome.past.at is not None)
    for outcome, slot in zip(timed, slots, strict=True):
        counts[slot][outcome.decision] += 1
    return tuple(counts)


def _confidences(outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    """Of matched and ambiguous ones, by tenths of the best one's confidence."""
    bins = [0] * 10
    for outcome in outcomes:
        if outcome.best is not None:
            bins[min(9, int(outcome.best.confidence * 10))] += 1
    return tuple(bins)


def _titles(outcomes: Sequence[Outcome], most: int = 3) -> tuple[str, ...]:
    often = Counter(plain_title(outcome.past.alert.title) for outcome in outcomes)
    return tuple(sorted(often, key=lambda title: (-often[title], title))[:most])


def _runbooks(outcomes: Sequence[Outcome]) -> tuple[RunbookUse, ...]:
    by_runbook: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.decision is Decision.MATCH and outcome.best is not None:
            by_runbook[outcome.best.runbook].append(outcome)
    uses = [
        RunbookUse(
            runbook,
            len(found),
            len(found) / len(outcomes),
            statistics.fmean(each.choices[0].confidence for each in found),
            _titles(found),
        )
        for runbook, found in by_runbook.items()
    ]
    return tuple(sorted(uses, key=lambda use: (-use.count, use.runbook)))


def _doubts(outcomes: Sequence[Outcome]) -> tuple[Doubt, ...]:
    groups: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.decision is Decision.AMBIGUOUS:
            groups[tuple(sorted(each.runbook for each in outcome.choices[:_CHOICES]))].append(outcome)
    doubts = [Doubt(runbooks, len(found), _titles(found, 1)[0]) for runbooks, found in groups.items()]
    return tuple(sorted(doubts, key=lambda doubt: (-doubt.count, doubt.runbooks))[:_SHOWN])


def _wanted(outcomes: Sequence[Outcome]) -> tuple[Wanted, ...]:
    unmatched = [outcome for outcome in outcomes if outcome.decision is Decision.NONE]
    found = clusters([outcome.past.alert.title for outcome in unmatched])[:_SHOWN]
    wanted = []
    for cluster in found:
        members = [unmatched[at] for at in cluster.members]
        services = Counter(member.past.alert.service or "no service" for member in members)
        nearest = Counter(member.choices[0].runbook for member in members if member.choices)
        wanted.append(
            Wanted(
                cluster.title,
                len(members),
                len(members) / len(outcomes),
                cluster.words,
                tuple(sorted(services.items(), key=lambda pair: (-pair[1], pair[0]))[:3]),
                min(nearest, key=lambda name: (-nearest[name], name), default=""),
                _titles(members),
            )
        )
    return tuple(wanted)


def _noise(outcomes: Sequence[Outcome]) -> tuple[Noise, ...]:
    """Alerts of one title and service that came at least three times, and came back within an hour."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[(plain_title(outcome.past.alert.title), outcome.past.alert.service)].append(outcome)
    found = [_repeated(*key, same, len(outcomes)) for key, same in groups.items() if len(same) >= _NOISY]
    noisy = [each for each in found if each.soon]
    return tuple(sorted(noisy, key=lambda each: (-each.soon, -each.count, each.title, each.service)))


def _repeated(title: str, service: str, same: Sequence[Outcome], total: int) -> Noise:
    times = sorted(outcome.past.at for outcome in same if outcome.past.at is not None)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    best = same[0].best
    return Noise(
        title,
        service,
        len(same),
        sum(gap <= _SOON for gap in gaps),
        len(same) / total,
        statistics.median(gap.total_seconds() for gap in gaps) if gaps else None,
        best.runbook if best is not None and same[0].decision is Decision.MATCH else "",
    )


def _labelled(outcomes: Sequence[Outcome]) -> Labelled:
    told = [(outcome, outcome.past.runbook) for outcome in outcomes]
    kinds = [(_kind(outcome, meant), outcome, meant) for outcome, meant in told if meant is not None]
    counts = Counter(kind for kind, _, _ in kinds)
    return Labelled(
        count=counts.total(),
        right=counts["right"],
        wrong=counts["wrong"],
        offered=counts["offered"],
        offered_without=counts["offered_without"],
        missed=counts["missed"],
        rightly_none=counts["rightly_none"],
        asked_for_none=counts["asked_for_none"],
        mistakes=_mistakes([(outcome, meant) for kind, outcome, meant in kinds if kind == "wrong"]),
    )


def _mistakes(wrong: Sequence[tuple[Outcome, str]]) -> tuple[Mistake, ...]:
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome, meant in wrong:
        groups[(outcome.choices[0].runbook, meant)].append(outcome)
    found = [
        Mistake(
            _titles(same, 1)[0],
            taken,
            meant,
            len(same),
            statistics.fmean(each.choices[0].confidence for each in same),
            tuple(each.past.id for each in same[:_SHOWN]),
        )
        for (taken, meant), same in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.count, each.taken, each.meant))[:_SHOWN])


def _kind(outcome: Outcome, meant: str) -> str:
    if outcome.decision is Decision.NONE:
        return "missed" if meant else "rightly_none"
    considered = outcome.choices[:1] if outcome.decision is Decision.MATCH else outcome.choices
    is_there = bool(meant) and any(choice.is_named(meant) for choice in considered)
    if outcome.decision is Decision.MATCH:
        return "right" if is_there else "wrong"
    if not meant:
        return "asked_for_none"
    return "offered" if is_there else "offered_without"
