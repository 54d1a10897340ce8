"""Trigger Conditions as a tree; `library.triggers` parses and evaluates them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contains:
    """The alert's title or body contains the text, in any case."""

    text: str


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression (linear-time engine) is found; without a field, in title or body."""

    pattern: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class FieldIs:
    """A field equals a glob, in any case: `service:api-*`, `label.pod:web-?`."""

    field: str
    glob: str


@dataclass(frozen=True, slots=True)
class SeverityIs:
    """The alert is as the runbook word says: critical, high, medium or low."""

    word: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Expression


Expression = Contains | Matches | FieldIs | SeverityIs | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of Trigger Conditions as written, and what it means."""

    text: str
    line: int
    expression: Expression


@dataclass(frozen=True, slots=True)
class Trigger:
    """All conditions must hold."""

    conditions: tuple[Condition, ...] = ()
