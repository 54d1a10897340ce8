"""What a `## Watch` item saw, sees and would do, in words: for the terminal and the console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.domain.probe_looks import after_look, standing, trend_words, words_of
from agent.domain.probing import DeedKind, Probe, ProbeState, Reading, Unseen, number, span
from agent.domain.trends import line_through
from agent.pipeline.probe_sight import Held, Seen

#: Of the values seen before, so many are shown.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Tried:
    """What one look found and what would follow; `is_finding`: something is wrong, or nobody can see."""

    words: str
    is_finding: bool
    value: float | None = None


def tried(probe: Probe, state: ProbeState, seen: Seen, now: datetime) -> Tried:
    """What the agent would do now; nothing of it is done."""
    if isinstance(seen, Held):
        return Tried(seen.why, False)
    if isinstance(seen, Unseen):
        return Tried(f"cannot see: {seen.why}", True)
    after = after_look(probe, state, Reading(now, seen), now)
    news = after.untold[len(state.untold) :]
    for deed in news:
        if deed.kind is DeedKind.RAISE:
            return Tried(f"would raise {deed.severity}: it {deed.why}", True, seen)
        if deed.kind is DeedKind.WORSE:
            return Tried(f"would tell that it is worse, {deed.severity}: it {deed.why}", True, seen)
        if deed.kind is DeedKind.CLEAR:
            return Tried(f"would say that it is over: it {deed.why}", False, seen)
    stands = standing(probe, after.readings)
    words = words_of(stands, seen)
    if after.raised is not None:
        return Tried(f"stays raised as {after.raised.severity}: it {words}", True, seen)
    if stands.threshold is not None:
        row = sum(level not in ("clear", "between") for level in after.levels)
        return Tried(f"would wait, {row} of {probe.looks} looks: it {words}", True, seen)
    return Tried(f"nothing: it {words}", False, seen)


def rules_of(probe: Probe) -> str:
    """Its clauses, as they were understood."""
    parts = [f"every {span(probe.every_s)}", *map(str, probe.thresholds)]
    if probe.looks > 1:
        parts.append(f"for {probe.looks} looks")
    if probe.trend_s is not None:
        parts.append(f"trend {span(probe.trend_s)}")
    if probe.clears is not None:
        parts.append(f"clears {probe.clears}")
    return "; ".join(parts)


def stands_as(probe: Probe, state: ProbeState | None) -> str:
    """What is known of it: its last values, whether it is raised, whether it sees."""
    if state is None or state.looked_at is None:
        return "not looked at yet"
    seen = ", ".join(number(each.value) for each in state.readings[-_SHOWN:])
    parts = [f"last values {seen}" if seen else "no value yet"]
    line = line_through(state.readings, window_s=probe.trend_s) if probe.trend_s is not None else None
    if line is not None:
        parts.append(f"trend {trend_words(line)}")
    if state.raised is not None:
        parts.append(f"raised as {state.raised.severity} since {state.raised.since:%Y-%m-%d %H:%M} UTC")
    if state.unseen:
        parts.append(f"cannot see, {state.unseen} looks in a row: {state.unseen_why}")
    return "; ".join(parts)
