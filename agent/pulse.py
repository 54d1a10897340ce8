"""When each schedule of this process last did its work, and what keeps the agent from doing all of it.

`/ready`, the heartbeat and the metrics are views of it. A schedule counts as late by the monotonic clock, so
that a clock that is set anew makes nothing late.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from agent.ports import Clock

#: A schedule that has not done its work for so long is told, and the agent is no longer ready.
LATE_AFTER_S = 120.0


#: Beyond its pause, the time that a round of anything else may take behind a slow vendor.
QUIET_AFTER_S = 900.0


@dataclass(frozen=True, slots=True)
class Beat:
    """One schedule: when it last did its work, and why it could not since."""

    is_vital: bool
    late_after_s: float
    at: datetime | None
    monotonic: float
    error: str = ""


class Pulse:
    """Safe for several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, Beat] = {}
        self._hindrances: dict[str, str] = {}

    def expect(self, name: str, *, is_vital: bool, late_after_s: float = LATE_AFTER_S) -> None:
        """The schedule begins now: it has its whole time for its first round."""
        with self._lock:
            self._beats[name] = Beat(is_vital, late_after_s, None, self._clock.monotonic())

    def ticked(self, name: str) -> None:
        """It did its work."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        with self._lock:
            beat = self._beats.get(name, Beat(False, LATE_AFTER_S, None, 0.0))
            self._beats[name] = replace(beat, at=now, monotonic=monotonic, error="")

    def failed(self, name: str, error: str) -> None:
        """It tried, and could not."""
        with self._lock:
            if name in self._beats:
                self._beats[name] = replace(self._beats[name], error=error)

    def hindered(self, name: str, problem: str) -> None:
        """Something keeps the agent from its work, in words; "" says that it is over."""
        with self._lock:
            if problem:
                self._hindrances[name] = problem
            else:
                self._hindrances.pop(name, None)

    def late(self) -> tuple[str, ...]:
        """Vital schedules that have not done their work for too long, in words."""
        return self._behind(vital=True)

    def silent(self) -> tuple[str, ...]:
        """The same of all others: the agent goes on without them, and a part of what it does is not done."""
        return self._behind(vital=False)

    def _behind(self, *, vital: bool) -> tuple[str, ...]:
        now = self._clock.monotonic()
        with self._lock:
            beats = sorted(self._beats.items())
        return tuple(
            _late(name, beat, now - beat.monotonic)
            for name, beat in beats
            if beat.is_vital is vital and now - beat.monotonic > beat.late_after_s
        )

    def problems(self) -> tuple[str, ...]:
        """Everything that keeps the agent from its work; nothing, if it is well."""
        with self._lock:
            hindrances = tuple(self._hindrances[name] for name in sorted(self._hindrances))
        return (*self.late(), *hindrances)

    def last(self) -> Mapping[str, datetime]:
        """When each schedule last did its work, by the time of day."""
        with self._lock:
            return {name: beat.at for name, beat in self._beats.items() if beat.at is not None}


def _late(name: str, beat: Beat, silent_s: float) -> str:
    why = f": {beat.error}" if beat.error else ", and says nothing of why"
    return f"the schedule {name} has not done its work for {silent_s:.0f} s{why}"
