"""`## Escalation` and `## Examples`: how a human is paged, and which alerts must (not) match."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from agent.domain.alert import SEVERITY_WORDS, Severity
from agent.domain.approvals import Lapse
from agent.domain.runbook import EscalationNotes, Example
from agent.library.blocks import Kind
from agent.library.keys import entries_of, normal, numbered_lines, split_key
from agent.library.outline import Name, Section
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.values import shown, word_or_quoted

MAX_EXAMPLES = 100
MAX_MESSAGE_CHARS = 1_000
_ROUTING = re.compile(r"(?:[a-z]{1,20}:#?)?[A-Za-z0-9][A-Za-z0-9 @._/#-]{0,99}")
_MATCHES = "matches"
_MATCHES_NOT = "does not match"
_IF_REJECTED, _IF_EXPIRED = "if rejected", "if expired"
_KEYS = ("routing", "severity", "message", _IF_REJECTED, _IF_EXPIRED)


def parse_escalation(section: Section, problems: Problems) -> EscalationNotes:
    """Routing, severity and message for the page; every other line is prose for the human."""
    values: dict[str, str] = {}
    prose: list[str] = []
    for number, line in _text_lines(section):
        key_value = split_key(line)
        key = normal(key_value[0]) if key_value is not None else ""
        if key_value is None or key not in _KEYS:
            prose.append(line)
        elif key in values:
            problems.add(number, f"{key.capitalize()} is written twice in Escalation", fix="keep one of them")
        else:
            values[key] = _checked(key, key_value[1], number, problems)
    return replace(_notes(values), prose="\n".join(prose).strip())


def _text_lines(section: Section) -> Iterator[tuple[int, str]]:
    for block in section.blocks:
        if block.kind in (Kind.TEXT, Kind.HEADING):
            yield from numbered_lines(block)
            yield block.numbers[-1], ""


def _notes(values: Mapping[str, str]) -> EscalationNotes:
    return EscalationNotes(
        routing=values.get("routing", ""),
        severity=values.get("severity", ""),
        message=values.get("message", ""),
        if_rejected=_lapse_or_none(values.get(_IF_REJECTED, "")),
        if_expired=_lapse_or_none(values.get(_IF_EXPIRED, "")),
    )


def _checked(key: str, value: str, line: int, problems: Problems) -> str:
    try:
        return _READERS[key](value)
    except NotUnderstoodError as error:
        problems.add(line, f"{key.capitalize()} in Escalation: {error.message}", fix=error.fix)
        return ""


def _routing(value: str) -> str:
    name = word_or_quoted(value)
    if _ROUTING.fullmatch(name) is None:
        raise NotUnderstoodError(
            f"{shown(name)} is not the name of a route", "write the name that the config gives it"
        )
    return name


def _severity(value: str) -> str:
    """PagerDuty's word; the runbook words high, medium and low are translated."""
    word = value.lower()
    if word in set(Severity):
        return word
    if word in SEVERITY_WORDS:
        return SEVERITY_WORDS[word][0].value
    raise NotUnderstoodError(f"{shown(value)} is not a severity", f"use one of {', '.join(Severity)}")


def _message(value: str) -> str:
    message = word_or_quoted(value)
    if not message or len(message) > MAX_MESSAGE_CHARS:
        raise NotUnderstoodError("empty or too long", f"write at most {MAX_MESSAGE_CHARS} characters")
    return message


def _lapse(value: str) -> str:
    word = value.lower().replace(" ", "_").replace("-", "_")
    if word not in set(Lapse):
        raise NotUnderstoodError(f"{shown(value)} is not known here", "write escalate or stand down")
    return word


def _lapse_or_none(word: str) -> Lapse | None:
    return Lapse(word) if word else None


_READERS: Mapping[str, Callable[[str], str]] = {
    "routing": _routing,
    "severity": _severity,
    "message": _message,
    _IF_REJECTED: _lapse,
    _IF_EXPIRED: _lapse,
}


def parse_examples(section: Section, problems: Problems) -> tuple[Example, ...]:
    """`- Matches: …` and `- Does not match: …`, checked by `oncall-agent test`."""
    examples = []
    for entry in entries_of(section.blocks, problems, section=Name.EXAMPLES, is_known=_is_example):
        if not entry.value:
            problems.add(entry.line, "an example without text", fix="write an alert's title behind the colon")
        examples.append(Example(entry.value, normal(entry.key) == _MATCHES, entry.line))
    if len(examples) > MAX_EXAMPLES:
        problems.add(
            examples[MAX_EXAMPLES].line, f"more than {MAX_EXAMPLES} examples", fix="keep the telling ones"
        )
    return tuple(examples)


def _is_example(key: str) -> bool:
    return normal(key) in (_MATCHES, _MATCHES_NOT)
