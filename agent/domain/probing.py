"""`## Watch` of a runbook: what is looked at again and again, and when it becomes an alert.

One item of the section is a probe. (The dead-man's switch, which watches the agent itself, is
`domain.watching`: another thing.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.domain.alert import Severity

#: The source of alerts that the agent raises because of a `## Watch` section.
PROBE_SOURCE = "watch"

#: Says, in the labels of an alert, that it is about a probe that cannot see, and not about what it looks at.
BLIND_LABEL = "watch_blind"


class ProbeKind(StrEnum):
    """Where the number comes from."""

    PROMQL = "promql"
    COMMAND = "command"
    PENDING = "keeptrusts pending escalations"


class Sign(StrEnum):
    """How a value is compared with a limit."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    @property
    def is_up(self) -> bool:
        """Whether more is worse."""
        return self in (Sign.ABOVE, Sign.AT_LEAST)


@dataclass(frozen=True, slots=True)
class Bound:
    """`> 20`."""

    sign: Sign
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the value is beyond it."""
        match self.sign:
            case Sign.ABOVE:
                return value > self.limit
            case Sign.AT_LEAST:
                return value >= self.limit
            case Sign.BELOW:
                return value < self.limit
            case Sign.AT_MOST:
                return value <= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {number(self.limit)}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """`warning > 20`, or with `within_s` a prediction: `critical when < 0 within 4h`."""

    severity: Severity
    bound: Bound
    within_s: float | None = None

    def __str__(self) -> str:
        if self.within_s is None:
            return f"{self.severity} {self.bound}"
        return f"{self.severity} when {self.bound} within {span(self.within_s)}"


@dataclass(frozen=True, slots=True)
class Probe:
    """One item of `## Watch`. `key` names it within its runbook, whatever its thresholds are.

    Thresholds stand worst first. `looks`: so many in a row must agree. `clears`: what the value must be for
    it to be over; without it, that no threshold holds. `trend_s`: what window a prediction is drawn from.
    """

    key: str
    name: str
    line: int
    kind: ProbeKind
    every_s: float
    thresholds: tuple[Threshold, ...]
    query: str = ""
    command: str = ""
    command_line: int = 0
    path: tuple[str | int, ...] = ()
    clears: Bound | None = None
    looks: int = 1
    trend_s: float | None = None
    timeout_s: float = 10.0
    service: str = ""

    @property
    def what(self) -> str:
        """What it looks at, on one line."""
        match self.kind:
            case ProbeKind.PROMQL:
                return f"promql {self.query}"
            case ProbeKind.COMMAND:
                return f"command {self.command}"
            case ProbeKind.PENDING:
                return self.kind.value


@dataclass(frozen=True, slots=True)
class Reading:
    """What a look found."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """A look that found no number, and why; `service`: who gave no answer, if it is that."""

    why: str
    service: str = ""


class DeedKind(StrEnum):
    """What follows from a look."""

    RAISE = "raise"
    WORSE = "worse"
    CLEAR = "clear"
    BLIND = "blind"
    SEES = "sees"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something to be told, kept until it is. `source_id` names the alert that it raises or is about."""

    kind: DeedKind
    source_id: str
    at: datetime
    why: str
    severity: Severity | None = None
    value: float | None = None
    threshold: str = ""
    trend: str = ""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that is out: as what, since when, under which ids it was told (the newest last)."""

    severity: Severity
    since: datetime
    source_ids: tuple[str, ...]
    incident_id: str = ""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is remembered of a probe, in the store: a restart neither raises twice nor forgets.

    `readings`: within the trend's window, or the last few. `levels`: what the last looks found, newest last:
    a severity, `clear`, or `between`. `unseen`: looks in a row that found no number. `untold`: deeds that are
    still to be told. `path`: the file it stands in.
    """

    runbook_id: str
    key: str
    path: str = ""
    looked_at: datetime | None = None
    readings: tuple[Reading, ...] = ()
    levels: tuple[str, ...] = ()
    raised: Raised | None = None
    unseen: int = 0
    unseen_why: str = ""
    unseen_service: str = ""
    blind: Raised | None = None
    untold: tuple[Deed, ...] = ()


def number(value: float) -> str:
    """A value as people write it: `57`, `0.35`."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"


def span(seconds: float) -> str:
    """`4h`, `90s`, `1h 30m`: the shortest way that says all of it."""
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"
