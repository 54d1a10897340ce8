"""What Prometheus is told of the timeline: totals by name, made from its entries, each counted once.

Names are paths: `m/ended/resolved`, `m/step/succeeded/le/0.5`. The sums of the three times that are KPIs are
kept by day too (`kpi/2026-04-23/resolve/sum`), so that a period's mean costs no look at its incidents.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from agent.domain.incident import EventKind

#: Upper bounds: a step has a minute by default and an incident ten; a human has minutes to a day.
STEP_BOUNDS_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
TIME_BOUNDS_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0)
CONFIDENCE_BOUNDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

#: Ends of an attempt that ran.
STEP_OUTCOMES = ("succeeded", "failed", "timed_out")


class Kpi(StrEnum):
    """The three times that say how fast incidents are noticed, taken up and over."""

    DETECT = "detect"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


#: Who it was: a source detects; only the agent acknowledges here, a claim is the queue's; both resolve.
BY = {Kpi.DETECT: ("source",), Kpi.ACKNOWLEDGE: ("agent",), Kpi.RESOLVE: ("agent", "human")}


class RefusalClass(StrEnum):
    """Why a guard said no, in the few words that a label may have."""

    LIMIT = "limit"
    REACH = "reach"
    ALLOWANCE = "allowance"
    UNCOUNTED = "uncounted"
    CHANGED = "changed_since_planned"
    NOT_UNDERSTOOD = "not_understood"


#: What the reasons of our own guards hold, the first that fits; all else was not understood.
_SAYS = (
    (RefusalClass.UNCOUNTED, ("cannot count",)),
    (RefusalClass.ALLOWANCE, ("no limit grants", "allowance")),
    (RefusalClass.CHANGED, ("the plan no longer holds", "than planned", "was not planned")),
    (RefusalClass.LIMIT, ("max_", "limits.", "used by")),
    (RefusalClass.REACH, ("execution.allow", "the runbook's hosts", "the runbook's namespaces")),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the timeline, and when its incident was received and had fired (None: not known)."""

    kind: EventKind
    at: datetime
    data: Mapping[str, object]
    received_at: datetime | None = None
    fired_at: datetime | None = None


def amounts(lines: Iterable[Line]) -> dict[str, float]:
    """What these entries add to the totals."""
    found: Counter[str] = Counter()
    for line in lines:
        for name, amount in _of(line):
            found[name] += amount  # type: ignore[assignment]  # a Counter of floats adds as well
    named = ((name if name.startswith("kpi/") else f"m/{name}", amount) for name, amount in found.items())
    return {name: float(amount) for name, amount in named if amount}


def refusal_class(reason: str) -> RefusalClass:
    """Which kind of no it is."""
    for found, words in _SAYS:
        if any(word in reason for word in words):
            return found
    return RefusalClass.NOT_UNDERSTOOD


def _of(line: Line) -> Iterable[tuple[str, float]]:
    match line.kind:
        case EventKind.RECEIVED:
            yield from _time(Kpi.DETECT, "source", line, line.fired_at, line.received_at)
        case EventKind.ACKNOWLEDGED:
            yield from _time(Kpi.ACKNOWLEDGE, "agent", line, line.received_at, line.at)
        case EventKind.MATCHED:
            yield from _match(line.data.get("confidence"))
        case EventKind.REFUSED:
            yield from _refused(line.data)
        case EventKind.STEP_SUCCEEDED | EventKind.ATTEMPT_FAILED:
            yield from _attempt(line.data)
        case EventKind.QUEUE:
            yield from _queue(line)
        case EventKind.RESOLVED | EventKind.ESCALATED | EventKind.STOOD_DOWN | EventKind.IGNORED:
            yield from _end(line)
        case _:
            return


def _end(line: Line) -> Iterable[tuple[str, float]]:
    yield f"ended/{line.kind.value}", 1
    if line.kind is EventKind.ESCALATED:
        yield f"escalated/{line.data.get('trigger', 'unknown')}", 1
    if line.kind is EventKind.RESOLVED:
        yield from _time(Kpi.RESOLVE, "agent", line, line.received_at, line.at)


def _queue(line: Line) -> Iterable[tuple[str, float]]:
    match line.data.get("deed"):
        case "breached":
            yield "sla/breached", 1
        case "settled" | "resolved":
            yield from _time(Kpi.RESOLVE, "human", line, line.received_at, line.at)
        case _:
            return


def _refused(data: Mapping[str, object]) -> Iterable[tuple[str, float]]:
    reasons = data.get("refusals")
    told = list(reasons) if isinstance(reasons, list | tuple) else [data.get("why", "")]
    for reason in told:
        yield f"refused/{refusal_class(str(reason)).value}", 1


def _attempt(data: Mapping[str, object]) -> Iterable[tuple[str, float]]:
    outcome, took = data.get("outcome"), data.get("duration_s")
    if outcome in STEP_OUTCOMES and isinstance(took, int | float):
        yield from histogram(f"step/{outcome}", took, STEP_BOUNDS_S)


def _match(confidence: object) -> Iterable[tuple[str, float]]:
    if isinstance(confidence, int | float):
        yield from histogram("confidence", confidence, CONFIDENCE_BOUNDS)


def _time(
    kpi: Kpi, by: str, line: Line, begun: datetime | None, ended: datetime | None
) -> Iterable[tuple[str, float]]:
    """A clock that is set differently at the source may say less than nothing: that is no time."""
    if begun is None or ended is None or ended < begun:
        return
    took_s = (ended - begun).total_seconds()
    yield from histogram(f"time/{kpi.value}/{by}", took_s, TIME_BOUNDS_S)
    yield f"kpi/{line.at:%Y-%m-%d}/{kpi.value}/sum", took_s
    yield f"kpi/{line.at:%Y-%m-%d}/{kpi.value}/count", 1


def histogram(name: str, value: float, bounds: Sequence[float]) -> Iterable[tuple[str, float]]:
    """The bucket that a value falls into, and the sum."""
    bound = next((each for each in bounds if value <= each), math.inf)
    yield f"{name}/le/{bound:g}", 1
    yield f"{name}/sum", value


@dataclass(frozen=True, slots=True)
class Means:
    """Mean times over a period, in seconds; None where nothing was timed."""

    detect_s: float | None = None
    acknowledge_s: float | None = None
    resolve_s: float | None = None


UNTIMED = Means()


def means(kept: Mapping[str, float], since: date, until: date) -> Means:
    """The means of whole days, from totals named `DAY/KPI/sum` and `DAY/KPI/count`."""
    sums: Counter[str] = Counter()
    for name, amount in kept.items():
        day, _, rest = name.partition("/")
        if since.isoformat() <= day <= until.isoformat():
            sums[rest] += amount  # type: ignore[assignment]  # as above
    found = {
        kpi: sums[f"{kpi.value}/sum"] / sums[f"{kpi.value}/count"] if sums[f"{kpi.value}/count"] else None
        for kpi in Kpi
    }
    return Means(found[Kpi.DETECT], found[Kpi.ACKNOWLEDGE], found[Kpi.RESOLVE])
