"""`## Examples`: alerts written in one line, held against the runbook's own trigger.

    - Matches: Redis connection timeout service:api-gateway severity:high
    - Does not match: "Postgres connection timeout" service:api-gateway label.env:staging

Words of the form `field:value` (value in quotes if it has spaces) set the alert's fields: service,
source, severity, urgency, team, environment, priority, title, body, label.<name>. The rest is its
title. What an example does not say is unknown to the trigger, as in a real alert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.alert import SEVERITY_WORDS, Alert, Severity, Urgency
from agent.domain.runbook import Example, Runbook
from agent.library.lint import Finding, Level
from agent.library.problems import NotUnderstoodError
from agent.library.trigger_verdicts import evaluate
from agent.library.values import QUOTES, read_quoted, shown

_FIELD = re.compile(
    r"(service|source|severity|urgency|team|environment|priority|title|body|label\.[A-Za-z0-9_.\-/]+):(?=\S)",
    re.IGNORECASE,
)
_LABEL = "label."


def check_examples(runbook: Runbook) -> tuple[Finding, ...]:
    """Every example that the trigger answers otherwise than its author says."""
    findings = (_checked(runbook, example) for example in runbook.examples)
    return tuple(finding for finding in findings if finding is not None)


def alert_of(text: str) -> Alert:
    """The alert that an example's line describes."""
    read = _Example()
    position = 0
    while position < len(text):
        position = read.take(text, position)
    return read.alert()


def _checked(runbook: Runbook, example: Example) -> Finding | None:
    try:
        verdict = evaluate(runbook.trigger, alert_of(example.text))
    except NotUnderstoodError as error:
        return Finding(runbook.path, example.line, Level.ERROR, f"example: {error.message}", error.fix)
    if verdict.holds == example.matches:
        return None
    if example.matches:
        message = f"{shown(example.text)} should match, but: {'; '.join(verdict.missing)}"
    else:
        message = f"{shown(example.text)} should not match, but: {'; '.join(verdict.reasons)}"
    return Finding(runbook.path, example.line, Level.ERROR, message, "correct the trigger, or the example")


@dataclass(slots=True)
class _Example:
    words: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def take(self, text: str, position: int) -> int:
        """Read the word that begins here; gives the position after it."""
        if text[position].isspace():
            return position + 1
        found = _FIELD.match(text, position)
        value, end = _value(text, position if found is None else found.end())
        if found is None:
            self.words.append(value)
        elif found[1].lower().startswith(_LABEL):
            self.labels[found[1][len(_LABEL) :]] = value
        else:
            self.fields[found[1].lower()] = value
        return end

    def alert(self) -> Alert:
        get = self.fields.get
        return Alert(
            source=get("source", ""),
            source_id="example",
            title=get("title", " ".join(self.words)),
            body=get("body", ""),
            service=get("service", ""),
            severity=_severity(get("severity", "")),
            urgency=_urgency(get("urgency", "")),
            priority=get("priority", ""),
            team=get("team", ""),
            environment=get("environment", ""),
            labels=self.labels,
        )


def _value(text: str, position: int) -> tuple[str, int]:
    if text[position] in QUOTES:
        return read_quoted(text, position)
    value = text[position:].split(maxsplit=1)[0]
    return value, position + len(value)


def _severity(word: str) -> Severity | None:
    """The runbook's words as well as the alert's own."""
    known: Mapping[str, Severity] = {name: severity for name, (severity, _) in SEVERITY_WORDS.items()}
    if not word or word.lower() in set(Severity):
        return Severity(word.lower()) if word else None
    if word.lower() not in known:
        raise NotUnderstoodError(f"{shown(word)} is not a severity", f"use {', '.join(SEVERITY_WORDS)}")
    return known[word.lower()]


def _urgency(word: str) -> Urgency | None:
    if word and word.lower() not in set(Urgency):
        raise NotUnderstoodError(f"{shown(word)} is not an urgency", "use high or low")
    return Urgency(word.lower()) if word else None
