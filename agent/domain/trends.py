"""The straight line through what was seen: where a value goes if it goes on as it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.domain.probing import Bound, Reading

#: Two points always lie on a line: it takes more of them to say that something goes somewhere.
LEAST_READINGS = 4

#: And they must be spread over so much of the window: a minute says little of the next hours.
LEAST_SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """`value` is where the line is at `at`; `per_s` is how much it rises each second."""

    at: datetime
    value: float
    per_s: float

    def after(self, seconds: float) -> float:
        """Where the line is so many seconds later."""
        return self.value + self.per_s * seconds

    def reaches_in_s(self, bound: Bound) -> float | None:
        """In how many seconds the line meets the limit; None if it goes the other way."""
        if bound.holds(self.value):
            return 0.0
        if self.per_s == 0 or (self.per_s > 0) != bound.sign.is_up:
            return None
        return max(0.0, (bound.limit - self.value) / self.per_s)


def line_through(readings: Sequence[Reading], *, window_s: float) -> Line | None:
    """Least squares over the readings of the window, at the newest of them; None if they say too little."""
    if not readings:
        return None
    newest = readings[-1].at
    # seconds before the newest one: small numbers, which lose nothing when they are squared
    points = [((each.at - newest).total_seconds(), each.value) for each in readings]
    points = [(x, y) for x, y in points if -window_s <= x <= 0]
    if len(points) < LEAST_READINGS or points[-1][0] - points[0][0] < LEAST_SPREAD * window_s:
        return None
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    if spread == 0:
        return None
    per_s = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    return Line(newest, middle_y - per_s * middle_x, per_s)
