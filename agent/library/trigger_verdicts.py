"""Whether an alert meets Trigger Conditions, and every reason for it in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.domain.alert import SEVERITY_WORDS, Alert, satisfies_severity
from agent.domain.trigger import (
    AllOf,
    AnyOf,
    Contains,
    Expression,
    FieldIs,
    Matches,
    Not,
    SeverityIs,
    Trigger,
)
from agent.library import regexes
from agent.library.values import shown

_LABEL = "label."
#: Fields of an alert that a condition or a parameter may name; all hold text.
_FIELDS = frozenset(
    {"title", "body", "service", "source", "severity", "urgency", "priority", "team", "environment"}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether every condition holds; what speaks for it, and what is missing."""

    holds: bool
    reasons: tuple[str, ...]
    missing: tuple[str, ...]


def evaluate(trigger: Trigger, alert: Alert) -> Verdict:
    """Ask the alert every condition. A trigger without conditions holds for no alert.

    What the alert does not tell (no service, no severity …) is unknown: neither a condition nor its
    NOT holds. A label that is absent is known to be absent. Texts are compared in any case.
    """
    return judge(trigger, subject_of(alert))


def subject_of(alert: Alert) -> Subject:
    """The alert made ready to be asked by many triggers."""
    return Subject(alert, alert.title.casefold(), alert.body.casefold())


def judge(trigger: Trigger, subject: Subject) -> Verdict:
    """As `evaluate`, for an alert that was made ready."""
    answers = [_answer(condition.expression, subject) for condition in trigger.conditions]
    if not answers:
        return Verdict(False, (), ("the runbook has no trigger conditions",))
    reasons = tuple(text for answer in answers if answer.truth is _Truth.YES for text in answer.texts)
    missing = tuple(text for answer in answers if answer.truth is not _Truth.YES for text in answer.texts)
    return Verdict(not missing, reasons, missing)


class _Truth(Enum):
    NO = 0
    UNKNOWN = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class _Answer:
    """Always with at least one text that says why."""

    truth: _Truth
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """An alert with its texts as they are compared."""

    alert: Alert
    title: str
    body: str


def _answer(expression: Expression, subject: Subject) -> _Answer:
    match expression:
        case Contains(text):
            return _contains(text, subject)
        case Matches(pattern, field):
            return _matches(pattern, field, subject)
        case FieldIs(field, glob):
            return _field_is(field, glob, subject.alert)
        case SeverityIs(word):
            return _severity_is(word, subject.alert)
        case Not(part):
            return _negated(_answer(part, subject))
        case AllOf(parts):
            return _all_of([_answer(part, subject) for part in parts])
        case AnyOf(parts):
            return _any_of([_answer(part, subject) for part in parts])


def _yes_or_no(truth: bool, text: str) -> _Answer:
    return _Answer(_Truth.YES if truth else _Truth.NO, (text,))


def _contains(text: str, subject: Subject) -> _Answer:
    wanted = text.casefold()
    where = "title" if wanted in subject.title else "body" if wanted in subject.body else ""
    found = f"{where} contains {shown(text)}" if where else f"neither title nor body contains {shown(text)}"
    return _yes_or_no(bool(where), found)


def _matches(pattern: str, field: str, subject: Subject) -> _Answer:
    if field and not field_of(subject.alert, field):
        return _unknown(field, f"a match of /{pattern}/")
    texts = {name: field_of(subject.alert, name) for name in ([field] if field else ["title", "body"])}
    where = next(
        (name for name, text in texts.items() if regexes.is_found(pattern, text, ignore_case=True)), ""
    )
    if where:
        return _yes_or_no(True, f"{where} matches /{pattern}/")
    return _yes_or_no(
        False,
        f"{field} does not match /{pattern}/" if field else f"neither title nor body matches /{pattern}/",
    )


def _field_is(field: str, glob: str, alert: Alert) -> _Answer:
    actual = field_of(alert, field)
    if not actual:
        return _unknown(field, glob)
    if not regexes.is_glob(glob, actual):
        return _yes_or_no(False, f"{field} is {_plain(actual)}, runbook wants {glob}")
    pattern = f" ({glob})" if "*" in glob or "?" in glob else ""
    return _yes_or_no(True, f"{field} is {_plain(actual)}{pattern}")


def _unknown(field: str, wanted: str) -> _Answer:
    if field.startswith(_LABEL):
        return _Answer(_Truth.NO, (f"no label {field.removeprefix(_LABEL)}, runbook wants {wanted}",))
    if field in ("title", "body"):
        return _Answer(_Truth.NO, (f"{field} is empty, runbook wants {wanted}",))
    return _Answer(_Truth.UNKNOWN, (f"{field} unknown, runbook wants {wanted}",))


def _severity_is(word: str, alert: Alert) -> _Answer:
    severity, urgency = SEVERITY_WORDS[word]
    if satisfies_severity(alert, word):
        by_severity = alert.severity == severity
        return _yes_or_no(
            True, f"severity is {alert.severity}" if by_severity else f"urgency is {alert.urgency}"
        )
    if alert.severity is None and (urgency is None or alert.urgency is None):
        return _Answer(_Truth.UNKNOWN, (f"severity unknown, runbook wants {word}",))
    told = f"severity is {alert.severity}" if alert.severity is not None else f"urgency is {alert.urgency}"
    return _yes_or_no(False, f"{told}, runbook wants {word}")


def _negated(answer: _Answer) -> _Answer:
    if answer.truth is _Truth.UNKNOWN:
        return _Answer(_Truth.UNKNOWN, tuple(f"cannot tell, for NOT: {text}" for text in answer.texts))
    if answer.truth is _Truth.NO:
        return _Answer(_Truth.YES, tuple(f"as wanted by NOT: {text}" for text in answer.texts))
    return _Answer(_Truth.NO, tuple(f"{text}, which the runbook excludes" for text in answer.texts))


def _all_of(answers: list[_Answer]) -> _Answer:
    truth = min((answer.truth for answer in answers), key=lambda truth: truth.value)
    return _Answer(truth, _texts_of(answers, truth, all_below=True))


def _any_of(answers: list[_Answer]) -> _Answer:
    truth = max((answer.truth for answer in answers), key=lambda truth: truth.value)
    if truth is _Truth.YES:
        return _Answer(truth, _texts_of(answers, truth, all_below=False))
    return _Answer(truth, (" and ".join(text for answer in answers for text in answer.texts),))


def _texts_of(answers: list[_Answer], truth: _Truth, *, all_below: bool) -> tuple[str, ...]:
    """The texts of what decided: all that hold, or, where something is missing, all that do not hold."""
    wants_missing = all_below and truth is not _Truth.YES
    return tuple(
        text
        for answer in answers
        for text in answer.texts
        if (answer.truth is not _Truth.YES) == wants_missing
    )


def field_of(alert: Alert, field: str) -> str:
    """The alert's text for a field's name; empty when the alert does not tell."""
    if field.startswith(_LABEL):
        return alert.labels.get(field.removeprefix(_LABEL), "")
    return str(getattr(alert, field) or "") if field in _FIELDS else ""


def _plain(text: str) -> str:
    return shown(text).strip("“”")
