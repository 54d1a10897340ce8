"""A clock that stands still until it is told to go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Implements ports.Clock; sleeping moves it on at once."""

    def __init__(self, now: datetime = datetime(2026, 1, 5, 4, 17, 23, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0
        self._leapt_s = 0.0

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def step_back(self, seconds: float) -> None:
        """What NTP may do to the time of day, and never to the monotonic clock."""
        self._now -= timedelta(seconds=seconds)

    def leap(self, seconds: float) -> None:
        """The same, forward."""
        self._now += timedelta(seconds=seconds)
        self._leapt_s += seconds

    def leapt_s(self) -> float:
        """How much of what the clock shows never passed."""
        return self._leapt_s
