"""What a reviewer would remark on a runbook that is otherwise in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.domain.probe_alerts import alert_of, example_deeds
from agent.domain.runbook import Autonomy, FailureAction, Runbook
from agent.domain.trigger import AllOf, AnyOf, Contains, Expression, FieldIs, Matches, Not, SeverityIs
from agent.library.parameters import uses_in
from agent.library.results import Broken, Documentation, Parsed, ParseResult
from agent.library.steps import texts_of
from agent.library.trigger_verdicts import evaluate
from agent.library.values import shown


class Level(StrEnum):
    """How much it matters: an error keeps the runbook from running, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark, with the line to look at and what to write instead."""

    path: str
    line: int
    level: Level
    message: str
    fix: str = ""

    def __str__(self) -> str:
        fix = f" (fix: {self.fix})" if self.fix else ""
        return f"{self.path}:{self.line}: {self.level}: {self.message}{fix}"


def lint(runbook: Runbook) -> tuple[Finding, ...]:
    """Warnings on a runbook that was understood."""
    found = (
        Finding(runbook.path, line, Level.WARNING, message, fix)
        for check in (_ownership, _trigger, _steps, _limits, _parameters, _examples, _watch)
        for line, message, fix in check(runbook)
    )
    return tuple(sorted(found, key=lambda finding: finding.line))


def lint_result(result: ParseResult) -> tuple[Finding, ...]:
    """Whatever a file is: its errors, its warnings, or nothing."""
    match result:
        case Parsed(runbook):
            return lint(runbook)
        case Broken(problems):
            return tuple(
                Finding(each.path, each.line, Level.ERROR, each.message, each.fix) for each in problems
            )
        case Documentation():
            return ()


_Remark = tuple[int, str, str]


def _ownership(runbook: Runbook) -> Iterator[_Remark]:
    if not runbook.owner:
        yield 1, "nobody owns this runbook", "add front matter with `owner: team`"


def _trigger(runbook: Runbook) -> Iterator[_Remark]:
    expressions = [condition.expression for condition in runbook.trigger.conditions]
    if all(_is_broad(expression) for expression in expressions) and expressions:
        line = runbook.trigger.conditions[0].line
        yield (
            line,
            "the trigger is one word only, so it will meet many alerts",
            "add a service or a second word",
        )
    for condition in runbook.trigger.conditions:
        for text in _phrases(condition.expression):
            if {"and", "or", "not"} & set(text.split()):
                yield (
                    condition.line,
                    f"and, or, not in lower case are plain words: the alert must contain {shown(text)}",
                    "write AND, OR, NOT in capitals, or put the phrase in quotes if it is one",
                )


def _is_broad(expression: Expression) -> bool:
    match expression:
        case Contains(text):
            return " " not in text
        case FieldIs(_, glob):
            return not glob.strip("*?")
        case SeverityIs():
            return True
        case AllOf(parts):
            return sum(not isinstance(part, SeverityIs) for part in parts) < 2 and all(map(_is_broad, parts))
        case AnyOf(parts):
            return any(map(_is_broad, parts))
        case Matches() | Not():
            return isinstance(expression, Not)


def _phrases(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Contains):
        yield expression.text
    elif isinstance(expression, Not):
        yield from _phrases(expression.part)
    elif isinstance(expression, AllOf | AnyOf):
        for part in expression.parts:
            yield from _phrases(part)


def _steps(runbook: Runbook) -> Iterator[_Remark]:
    last = runbook.steps[-1]
    if runbook.verification is None and (len(runbook.steps) == 1 or last.expectation is None):
        yield (
            last.line,
            "nothing checks that the problem is gone",
            "add `## Verify`, or a last step with `Expected output:`",
        )
    if last.failure_action is FailureAction.CONTINUE:
        yield (
            last.line,
            "the last step's failure is passed over, so the runbook would count as done",
            "use `Failure action: escalate` in the last step",
        )


def _limits(runbook: Runbook) -> Iterator[_Remark]:
    radius = runbook.blast_radius
    if not radius.limits and radius.requires_human_approval is None:
        yield 1, "no limits, so every step that changes anything is refused", "add `## Blast Radius`"
    if radius.requires_human_approval and runbook.autonomy is Autonomy.AUTO:
        yield 1, "autonomy: auto, but requires_human_approval: true; it will ask", "remove one of the two"
    if radius.demand is not None and runbook.autonomy is Autonomy.AUTO:
        yield 1, "autonomy: auto, but it says whose yes it takes; it will ask", "remove one of the two"


def _parameters(runbook: Runbook) -> Iterator[_Remark]:
    verify = runbook.verification.steps if runbook.verification is not None else ()
    every = (*runbook.steps, *verify, *runbook.rollback)
    used = {name for step in every for text in texts_of(step) for name in uses_in(text)}
    for parameter in runbook.parameters:
        if parameter.name not in used:
            yield parameter.line, f"the parameter {parameter.name} is not used", "remove it"


def _examples(runbook: Runbook) -> Iterator[_Remark]:
    kinds = {example.matches for example in runbook.examples}
    if kinds != {True, False}:
        yield (
            runbook.examples[0].line if runbook.examples else 1,
            "no examples of alerts that must match, and of alerts that must not",
            "add `## Examples` with `- Matches: …` and `- Does not match: …`",
        )


def _watch(runbook: Runbook) -> Iterator[_Remark]:
    """What it raises itself should be answered by itself."""
    for probe in runbook.watch:
        for deed in example_deeds(probe):
            verdict = evaluate(runbook.trigger, alert_of(runbook, probe, deed))
            if not verdict.holds:
                yield (
                    probe.line,
                    f"what it watches would not meet its own conditions at {deed.severity}: "
                    f"{'; '.join(verdict.missing)}",
                    "widen Trigger Conditions, add `service NAME` to the item, or leave it to a human",
                )
