"""The machine's clock, and what it was set forward by."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

log = structlog.get_logger()

#: What NTP corrects without a step is slower than this; more at once is a clock that was set.
_STEP_S = 2.0

#: The longest time that anything is counted over is a day (limits.per_day).
_COUNTED_S = 86_400.0


def _since_boot() -> float:
    """Seconds that nobody sets, and that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """Implements ports.Clock. Sees a step of the clock at the next look at it, and tells it in the log."""

    def __init__(
        self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _since_boot
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._offset = wall() - steady()
        #: (when, on the steady clock; by how much) of each step forward.
        self._leaps: deque[tuple[float, float]] = deque()

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.fromtimestamp(self._look(), UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def leapt_s(self) -> float:
        """How much of the last day never passed: the clock was set forward by so much while we looked on."""
        self._look()
        with self._lock:
            while self._leaps and self._steady() - self._leaps[0][0] > _COUNTED_S:
                self._leaps.popleft()
            return sum(by for _, by in self._leaps)

    def _look(self) -> float:
        """The time of day in seconds; whether it was set since the last look is found here."""
        with self._lock:
            wall, steady = self._wall(), self._steady()
            stepped = wall - steady - self._offset
            self._offset = wall - steady
            if stepped > _STEP_S:
                self._leaps.append((steady, stepped))
        if abs(stepped) > _STEP_S:
            log.warning("clock_was_set", by_s=round(stepped, 1))
        return wall
