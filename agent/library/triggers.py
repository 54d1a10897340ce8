"""Trigger Conditions: key lines → conditions, and whether an alert meets them, told word by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from agent.domain.alert import SEVERITY_WORDS, Severity
from agent.domain.trigger import AnyOf, Condition, Expression, FieldIs, SeverityIs, Trigger
from agent.library import trigger_expressions
from agent.library.keys import Entry, entries_of
from agent.library.outline import Name, Section
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.trigger_verdicts import Verdict, evaluate
from agent.library.values import COMMA_OR, MAX_ITEMS, shown, split_outside_quotes, word_or_quoted

__all__ = ["Verdict", "evaluate", "parse_section"]

MAX_CONDITIONS = 50
_LABEL = re.compile(r"label +([A-Za-z0-9_.\-/]+)", re.IGNORECASE)


def parse_section(section: Section, problems: Problems) -> Trigger:
    """The section's lines, all of which must hold; none at all would match every alert."""
    entries = entries_of(section.blocks, problems, section=Name.TRIGGER, is_known=_is_known)
    if not entries:
        problems.add(
            section.line,
            "Trigger Conditions has no condition, so every alert would meet it",
            fix='write `- Alert contains: "word"`, `- Service: name` or `- Severity: high`',
        )
    if len(entries) > MAX_CONDITIONS:
        problems.add(
            entries[MAX_CONDITIONS].line, f"more than {MAX_CONDITIONS} conditions", fix="join some of them"
        )
        return Trigger()
    conditions = []
    for entry in entries:
        try:
            conditions.append(Condition(f"{entry.key}: {entry.value}", entry.line, _expression(entry)))
        except NotUnderstoodError as error:
            problems.add(entry.line, f"{entry.key}: {error.message}", fix=error.fix)
    _check_repeated(entries, problems)
    return Trigger(tuple(conditions))


def _check_repeated(entries: Sequence[Entry], problems: Problems) -> None:
    """Two `Service:` lines would both have to hold, which nobody means; `Alert contains` may repeat."""
    seen: dict[str, int] = {}
    for entry in entries:
        key = entry.key.lower()
        if key in seen and key != "alert contains":
            problems.add(
                entry.line,
                f"a second line {entry.key} (first in line {seen[key]}); both would have to hold",
                fix="put all values in one line: a, b",
            )
        seen.setdefault(key, entry.line)


def _is_known(key: str) -> bool:
    return key.lower() in _READERS or _LABEL.fullmatch(key) is not None


def _expression(entry: Entry) -> Expression:
    if not entry.value:
        raise NotUnderstoodError("has no value", "write it behind the colon")
    if label := _LABEL.fullmatch(entry.key):
        return _one_of(entry.value, lambda glob: FieldIs(f"label.{label[1]}", glob))
    return _READERS[entry.key.lower()](entry.value)


def _severity(value: str) -> Expression:
    return _one_of(value, _severity_is)


def _severity_is(word: str) -> Expression:
    """A runbook's word for severity; the alert's own words error, warning and info are taken as such."""
    lower = word.lower()
    if lower in SEVERITY_WORDS:
        return SeverityIs(lower)
    if lower in set(Severity):
        return FieldIs("severity", lower)
    raise NotUnderstoodError(f"{shown(word)} is not a severity", f"use {', '.join(SEVERITY_WORDS)}")


def _field(field: str) -> Callable[[str], Expression]:
    return lambda value: _one_of(value, lambda glob: FieldIs(field, glob))


def _one_of(value: str, made: Callable[[str], Expression]) -> Expression:
    """A list with commas or `or`: any one of its items."""
    items = [word_or_quoted(part) for part in split_outside_quotes(value, COMMA_OR)]
    if not all(items):
        raise NotUnderstoodError(
            f"an empty place in the list {shown(value)}", "remove the comma or `or` too many"
        )
    if len(items) > MAX_ITEMS:
        raise NotUnderstoodError(f"more than {MAX_ITEMS} items", "use a glob such as api-*")
    parts = tuple(made(item) for item in items)
    return parts[0] if len(parts) == 1 else AnyOf(parts)


_READERS: Mapping[str, Callable[[str], Expression]] = {
    "alert contains": trigger_expressions.parse,
    "severity": _severity,
    "service": _field("service"),
    "source": _field("source"),
    "priority": _field("priority"),
}
