"""`## Parameters`: what a command may take from an alert, and how each value must look.

    - pod: label "pod"; pattern /^[a-z0-9-]+$/
    - key: title /flip (\\w+)/; pattern /^[a-z0-9]+$/
    - region: one of us-east-1, eu-west-1; default us-east-1
    - slot: captured; pattern /^[0-9]+$/          filled by `Capture: slot from …` of a step

Clauses are separated by `;`. A source (`label "x"`, or an alert field: title, body, service, source,
severity, urgency, priority, team, environment; each with an optional /regex/ that picks a part),
`default x`, and exactly one of `pattern /…/` (the whole value must match) and `one of a, b`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from agent.domain.runbook import Parameter, Runbook, Step
from agent.library.bindings import ALERT_FIELDS, bind, why_not_allowed
from agent.library.keys import Entry, entries_of
from agent.library.outline import Name, Section
from agent.library.problems import NotUnderstoodError, Problems
from agent.library.steps import texts_of
from agent.library.values import (
    QUOTES,
    SEMICOLON,
    listed,
    next_separator,
    pattern_only,
    read_quoted,
    shown,
    word_or_quoted,
)

__all__ = ["bind", "captured_in", "check_uses", "parse_section", "uses_in"]

MAX_PARAMETERS = 50
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_USE = re.compile(r"\{\{ {0,9}([a-z][a-z0-9_]{0,63}) {0,9}\}\}")
#: `{{.State}}` and `{{json .State}}` are Go templates for kubectl and docker, not parameters.
_GO_TEMPLATE = re.compile(r'\{\{-? {0,9}(?:\.|[a-z]{1,20} {1,9}[."(])')
_LABEL = re.compile(r"label +", re.IGNORECASE)
_LABEL_NAME = re.compile(r"[A-Za-z0-9_.\-/]+")
_PLAIN_CLAUSE = re.compile(r" *(one of|default) ", re.IGNORECASE)
_CLAUSE = re.compile(r"(one of|[a-z]+)(?: +(.*))?", re.IGNORECASE | re.DOTALL)


def parse_section(section: Section, problems: Problems) -> tuple[Parameter, ...]:
    """The declared parameters; one that would accept any value is a problem."""
    entries = entries_of(section.blocks, problems, section=Name.PARAMETERS)
    parameters: dict[str, Parameter] = {}
    for entry in entries[:MAX_PARAMETERS]:
        try:
            parameter = _parameter(entry)
        except NotUnderstoodError as error:
            problems.add(entry.line, f"parameter {entry.key}: {error.message}", fix=error.fix)
            continue
        if parameter.name in parameters:
            problems.add(entry.line, f"parameter {entry.key} is declared twice", fix="keep one of them")
        parameters[parameter.name] = parameter
    if len(entries) > MAX_PARAMETERS:
        problems.add(
            entries[MAX_PARAMETERS].line, f"more than {MAX_PARAMETERS} parameters", fix="declare fewer"
        )
    return tuple(parameters.values())


def _parameter(entry: Entry) -> Parameter:
    if _NAME.fullmatch(entry.key) is None:
        raise NotUnderstoodError("the name cannot be used", "use a-z, 0-9 and _, a letter first")
    parameter = Parameter(entry.key, entry.line)
    seen: set[str] = set()
    for clause in _clauses(entry.value):
        kind, parameter = _with_clause(parameter, clause)
        if kind in seen:
            raise NotUnderstoodError(f"a second {kind} clause: {shown(clause)}", "keep one of them")
        seen.add(kind)
    _check_complete(parameter)
    return parameter


def _clauses(text: str) -> Iterator[str]:
    """The clauses between semicolons. In a list or a default, a slash is a slash: `one of /, /var`."""
    begin = 0
    while begin <= len(text):
        patterns = _PLAIN_CLAUSE.match(text, begin) is None
        found = next_separator(text, begin, SEMICOLON, patterns=patterns)
        end = found.start() if found is not None else len(text)
        yield text[begin:end].strip()
        begin = end + 1


def _with_clause(parameter: Parameter, clause: str) -> tuple[str, Parameter]:
    found = _CLAUSE.fullmatch(clause)
    word = found[1].lower() if found is not None else ""
    rest = (found[2] or "").strip() if found is not None else ""
    if word in ALERT_FIELDS:
        pattern = pattern_only(rest) if rest else ""
        return "source", replace(parameter, alert_field=word, field_pattern=pattern)
    if word not in _CLAUSES:
        raise NotUnderstoodError(
            f"{shown(clause)} is not a clause",
            f"use {', '.join(_CLAUSES)}, or an alert field ({', '.join(ALERT_FIELDS)}), with ; between",
        )
    if not rest and word != "captured":
        raise NotUnderstoodError(f"{word} has no value", f"write {word} and its value")
    return _CLAUSES[word](parameter, rest)


def _label(parameter: Parameter, rest: str) -> tuple[str, Parameter]:
    if rest[0] in QUOTES:
        name, end = read_quoted(rest, 0)
    else:
        name = rest.split(" ", 1)[0]
        end = len(name)
    if _LABEL_NAME.fullmatch(name) is None:
        raise NotUnderstoodError(f"{shown(name)} is not the name of a label", 'write label "pod"')
    picked = rest[end:].strip()
    return "source", replace(parameter, label=name, field_pattern=pattern_only(picked) if picked else "")


def _pattern(parameter: Parameter, rest: str) -> tuple[str, Parameter]:
    return "check", replace(parameter, pattern=pattern_only(rest))


def _one_of(parameter: Parameter, rest: str) -> tuple[str, Parameter]:
    return "check", replace(parameter, one_of=tuple(listed(rest)))


def _default(parameter: Parameter, rest: str) -> tuple[str, Parameter]:
    return "default", replace(parameter, default=word_or_quoted(rest))


def _captured(parameter: Parameter, rest: str) -> tuple[str, Parameter]:
    if rest:
        raise NotUnderstoodError(
            f"captured takes no value, found {shown(rest)}", "name the place in the step"
        )
    return "source", replace(parameter, captured=True)


_CLAUSES: Mapping[str, Callable[[Parameter, str], tuple[str, Parameter]]] = {
    "label": _label,
    "pattern": _pattern,
    "one of": _one_of,
    "default": _default,
    "captured": _captured,
}


def _check_complete(parameter: Parameter) -> None:
    """A value must have somewhere to come from, and must be held to something."""
    if not parameter.pattern and not parameter.one_of:
        raise NotUnderstoodError("any value would be accepted", "add `pattern /…/` or `one of a, b`")
    has_source = (
        parameter.label or parameter.alert_field or parameter.captured or parameter.default is not None
    )
    if not has_source and not parameter.one_of:
        raise NotUnderstoodError("has no source", 'add `label "name"`, an alert field, or `default x`')
    if parameter.captured and parameter.default is not None:
        raise NotUnderstoodError("a captured value has no default", "remove one of the two clauses")
    for value in (*parameter.one_of, *([parameter.default] if parameter.default is not None else [])):
        if reason := why_not_allowed(parameter, value):
            raise NotUnderstoodError(reason, "make the value and the check agree")


def uses_in(text: str) -> Iterator[str]:
    """The names used as {{ name }}; NotUnderstoodError for a {{ that is neither a use nor a Go template."""
    position = text.find("{{")
    while position >= 0:
        found = _USE.match(text, position)
        other = None if found is not None else _GO_TEMPLATE.match(text, position)
        if found is not None:
            yield found[1]
        elif other is None:
            raise NotUnderstoodError(
                f"{shown(text[position:], limit=30)} is not a use of a parameter", "write {{ name }}"
            )
        position = text.find("{{", position + 2)


def captured_in(step: Step, parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """The names that the step uses and that only an earlier step's output gives a value."""
    captured = {parameter.name for parameter in parameters if parameter.captured}
    if not captured:
        return ()
    used = dict.fromkeys(name for text in texts_of(step) for name in uses_in(text))
    return tuple(name for name in used if name in captured)


def check_uses(runbook: Runbook, problems: Problems) -> None:
    """Every {{ name }} is declared; a captured one is captured by an earlier step of the same section."""
    declared = {parameter.name: parameter for parameter in runbook.parameters}
    verify = runbook.verification.steps if runbook.verification is not None else ()
    captured_in_steps = _captures_of(runbook.steps)
    for steps, known in (
        (runbook.steps, set()),
        (verify, captured_in_steps),
        (runbook.rollback, captured_in_steps),
    ):
        _check_section(steps, declared, set(known), problems)
    for step in (*runbook.steps, *verify, *runbook.rollback):
        _check_captures(step, declared, problems)
    everywhere = captured_in_steps | _captures_of(verify) | _captures_of(runbook.rollback)
    for parameter in runbook.parameters:
        if parameter.captured and parameter.name not in everywhere:
            problems.add(
                parameter.line, f"no step captures {parameter.name}", fix="add `Capture: name from …`"
            )


def _check_captures(step: Step, declared: Mapping[str, Parameter], problems: Problems) -> None:
    """A name that has a value already cannot get another one from an output."""
    for capture in step.captures:
        parameter = declared.get(capture.name)
        if parameter is not None and not parameter.captured:
            problems.add(
                step.line,
                f"step {step.index} captures {capture.name}, which has its value from the alert",
                fix=f"give the capture another name, or declare `- {capture.name}: captured; …`",
            )


def _captures_of(steps: Sequence[Step]) -> set[str]:
    return {capture.name for step in steps for capture in step.captures}


def _check_section(
    steps: Sequence[Step], declared: Mapping[str, Parameter], captured: set[str], problems: Problems
) -> None:
    for step in steps:
        for text in texts_of(step):
            _check_text(text, step, declared, captured, problems)
        captured |= _captures_of([step])


def _check_text(
    text: str, step: Step, declared: Mapping[str, Parameter], captured: set[str], problems: Problems
) -> None:
    try:
        names = list(dict.fromkeys(uses_in(text)))
    except NotUnderstoodError as error:
        problems.add(step.command_line, error.message, fix=error.fix)
        return
    for name in names:
        parameter = declared.get(name)
        if parameter is None:
            kind = "captured; pattern /…/" if name in captured else 'label "…"; pattern /…/'
            problems.add(
                step.command_line,
                f"{{{{ {name} }}}} is not declared",
                fix=f"add `- {name}: {kind}` to ## Parameters",
            )
        elif parameter.captured and name not in captured:
            problems.add(
                step.command_line,
                f"{{{{ {name} }}}} is used before a step captures it",
                fix="capture it in an earlier step",
            )
