"""What a step's output must be; `library.expectations` parses and judges it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equals:
    """The trimmed output is exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputContains:
    """The output contains this text, in exactly this case."""

    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OutputMatches:
    """The regular expression (linear-time engine) is found in the output."""

    pattern: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ExitCode:
    """The command ends with this exit code."""

    code: int


@dataclass(frozen=True, slots=True)
class JsonPath:
    """The output is JSON, and the value at the path compares as said; `value` is a JSON literal."""

    path: tuple[str | int, ...]
    operator: str
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class NumberCompares:
    """The trimmed output is one number, and it compares as said (`<`, `<=`, `>`, `>=`, `==`, `!=`)."""

    operator: str
    value: float


@dataclass(frozen=True, slots=True)
class Both:
    """Every part holds."""

    parts: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds."""

    parts: tuple[Check, ...]


Check = Equals | OutputContains | OutputMatches | ExitCode | JsonPath | NumberCompares | Both | Either


@dataclass(frozen=True, slots=True)
class Expectation:
    """The line as written and what it means."""

    text: str
    check: Check


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an output is as expected, and in words why not."""

    holds: bool
    reason: str
