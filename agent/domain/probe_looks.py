"""What follows from a look: pure arithmetic on what is remembered, so that each rule can be tried alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.domain.alert import Severity
from agent.domain.probing import (
    Deed,
    DeedKind,
    Probe,
    ProbeState,
    Raised,
    Reading,
    Threshold,
    Unseen,
    number,
    span,
)
from agent.domain.trends import Line, line_through

#: So many looks in a row without a number make a probe blind.
BLIND_AFTER = 3

#: Without a trend, so many of the last values are kept, for people.
_KEPT = 20

#: After a pause of so many times `every` the looks before it are no longer "in a row" with the next.
_ROW_BREAKS_AFTER = 3

_CLEAR, _BETWEEN = "clear", "between"

#: Worst first.
SEVERITIES = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at one look: the worst threshold that holds, and the line of the trend."""

    level: str
    threshold: Threshold | None = None
    line: Line | None = None

    @property
    def severity(self) -> Severity | None:
        """The worst severity that holds now."""
        return self.threshold.severity if self.threshold is not None else None


def standing(probe: Probe, readings: Sequence[Reading]) -> Standing:
    """How things stand at the newest reading."""
    value = readings[-1].value
    line = line_through(readings, window_s=probe.trend_s) if probe.trend_s is not None else None
    for threshold in probe.thresholds:
        if _holds(threshold, value, line):
            return Standing(threshold.severity.value, threshold, line)
    is_clear = probe.clears is None or probe.clears.holds(value)
    return Standing(_CLEAR if is_clear else _BETWEEN, None, line)


def _holds(threshold: Threshold, value: float, line: Line | None) -> bool:
    if threshold.bound.holds(value):
        return True
    if threshold.within_s is None or line is None:
        return False
    reached = line.reaches_in_s(threshold.bound)
    return reached is not None and threshold.bound.holds(line.after(threshold.within_s))


def is_due(probe: Probe, state: ProbeState, now: datetime) -> bool:
    """Whether it is time to look; what was missed while nobody could look is not made up."""
    if state.looked_at is None or state.looked_at > now:  # the clock was set back
        return True
    return (now - state.looked_at).total_seconds() >= probe.every_s


def after_look(probe: Probe, state: ProbeState, found: Reading | Unseen, now: datetime) -> ProbeState:
    """What is remembered from now on, with the deeds that follow from this look."""
    if isinstance(found, Unseen):
        return _not_seen(state, found, now)
    levels = () if _row_is_broken(probe, state, now) else state.levels
    readings = _kept(probe, (*state.readings, found))
    stands = standing(probe, readings)
    state = replace(
        _sees_again(state, now),
        looked_at=now,
        readings=readings,
        levels=(*levels, stands.level)[-probe.looks :],
    )
    agreed = _agreed(probe, state.levels)
    if agreed is None:
        return state
    if isinstance(agreed, Severity):
        return _bad(state, agreed, stands, found)
    return _good(state, found)


def unseen(state: ProbeState, why: str, now: datetime) -> ProbeState:
    """As after a look that found no number, of a probe whose file cannot be read just now."""
    return _not_seen(state, Unseen(why), now)


def forgotten(state: ProbeState, now: datetime) -> tuple[Deed, ...]:
    """What is left to be told of a probe that is not in its runbook any more.

    Its alert is not over because nobody looks any more: only what was said about its own blindness is.
    """
    pending = tuple(deed for deed in state.untold if deed.kind in (DeedKind.CLEAR, DeedKind.SEES))
    blind = () if state.blind is None else _cleared(state.blind, now, "it is not watched", DeedKind.SEES)
    return (*pending, *blind)


def words_of(stands: Standing, value: float) -> str:
    """Why it is an alert: `is 57 (critical > 50)`."""
    threshold = stands.threshold
    if threshold is None:
        return f"is {number(value)}"
    if threshold.bound.holds(value) or stands.line is None:
        return f"is {number(value)} ({threshold})"
    in_s = stands.line.reaches_in_s(threshold.bound) or 0.0
    return f"is {number(value)} and will be {threshold.bound} in {span(in_s)} as it goes ({threshold})"


def trend_words(line: Line | None) -> str:
    """How fast it goes: `-2.4 an hour`."""
    if line is None:
        return ""
    return f"{'+' if line.per_s > 0 else ''}{number(line.per_s * 3_600)} an hour"


def _row_is_broken(probe: Probe, state: ProbeState, now: datetime) -> bool:
    pause = timedelta(seconds=_ROW_BREAKS_AFTER * probe.every_s)
    return state.looked_at is None or not timedelta(0) <= now - state.looked_at <= pause


def _kept(probe: Probe, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """In the order of time: a clock that was set back leaves nothing that lies ahead of it."""
    newest = readings[-1]
    past = [each for each in readings[:-1] if each.at < newest.at]
    if probe.trend_s is not None:
        begin = newest.at - timedelta(seconds=probe.trend_s)
        return (*(each for each in past if each.at >= begin), newest)
    return (*past[1 - _KEPT :], newest)


def _agreed(probe: Probe, levels: Sequence[str]) -> Severity | str | None:
    """What so many looks in a row have in common: at least this bad, or clear; None if they differ."""
    if len(levels) < probe.looks or _BETWEEN in levels:
        return None
    if all(level == _CLEAR for level in levels):
        return _CLEAR
    if _CLEAR in levels:
        return None
    return max((Severity(level) for level in levels), key=SEVERITIES.index)


def _bad(state: ProbeState, severity: Severity, stands: Standing, found: Reading) -> ProbeState:
    raised = state.raised
    if raised is not None and SEVERITIES.index(severity) >= SEVERITIES.index(raised.severity):
        return state
    ident = f"{state.runbook_id}/{state.key}@{found.at:%Y%m%dT%H%M%S.%f}"
    deed = Deed(
        DeedKind.RAISE if raised is None else DeedKind.WORSE,
        ident,
        found.at,
        words_of(stands, found.value),
        severity,
        found.value,
        str(stands.threshold),
        trend_words(stands.line),
    )
    if raised is None:
        raised = Raised(severity, found.at, (ident,))
    return replace(state, raised=replace(raised, severity=severity), untold=(*state.untold, deed))


def _good(state: ProbeState, found: Reading) -> ProbeState:
    if state.raised is None:
        return state
    why = f"is {number(found.value)} again"
    return replace(state, raised=None, untold=(*state.untold, *_cleared(state.raised, found.at, why)))


def _cleared(raised: Raised, at: datetime, why: str, kind: DeedKind = DeedKind.CLEAR) -> tuple[Deed, ...]:
    """Each alert that was told of it is over."""
    return tuple(Deed(kind, each, at, why) for each in raised.source_ids)


def _not_seen(state: ProbeState, found: Unseen, now: datetime) -> ProbeState:
    state = replace(
        state,
        looked_at=now,
        unseen=state.unseen + 1,
        unseen_why=found.why,
        unseen_service=found.service,
    )
    if state.unseen < BLIND_AFTER or state.blind is not None:
        return state
    ident = f"{state.runbook_id}/{state.key}/blind@{now:%Y%m%dT%H%M%S.%f}"
    why = f"{state.unseen} looks in a row found no number: {found.why}"
    deed = Deed(DeedKind.BLIND, ident, now, why, Severity.WARNING)
    blind = Raised(Severity.WARNING, now, (ident,))
    return replace(state, blind=blind, untold=(*state.untold, deed))


def _sees_again(state: ProbeState, now: datetime) -> ProbeState:
    deeds = () if state.blind is None else _cleared(state.blind, now, "it sees again", DeedKind.SEES)
    return replace(
        state, unseen=0, unseen_why="", unseen_service="", blind=None, untold=(*state.untold, *deeds)
    )
