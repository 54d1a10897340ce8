"""Which runbooks' conditions can hold for an alert at all: only those are evaluated word by word.

For each trigger the index keeps one set of *marks* of which an alert must bear at least one if the
trigger is to hold: a text that must occur, a field that must have a value or begin so. Where nothing
is certain (a NOT, a regular expression alone) the trigger is always evaluated. So the answer is the
same as that of evaluating all of them; only the work is less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.domain.alert import SEVERITY_WORDS, Alert
from agent.domain.trigger import AllOf, AnyOf, Contains, Expression, FieldIs, SeverityIs, Trigger
from agent.library.trigger_verdicts import Subject, Verdict, field_of, judge, subject_of

#: Texts are found by pieces of this length; shorter ones are looked for one by one.
_GRAM = 3
#: As much of a glob's beginning as is looked up.
_PREFIX_MAX = 24
#: How crowded a mark counts from the start: alerts of one severity are many, those of one service few.
_SEVERITY_COST = 1_000


@dataclass(frozen=True, slots=True)
class _Text:
    """Title or body contains it."""

    text: str


@dataclass(frozen=True, slots=True)
class _Value:
    """The field is this, in any case."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class _Start:
    """The field begins so, in any case."""

    field: str
    start: str


_Mark = _Text | _Value | _Start


class TriggerIndex:
    """Triggers by key; takes single changes in. One thread changes it, none reads it meanwhile."""

    def __init__(self, triggers: Mapping[str, Trigger] | None = None) -> None:
        self._triggers: dict[str, Trigger] = {}
        self._marks: dict[str, tuple[_Mark, ...]] = {}
        self._always: set[str] = set()
        self._keys: dict[_Mark, set[str]] = {}
        self._texts_by_gram: dict[str, set[_Text]] = {}
        self._fields: defaultdict[str, int] = defaultdict(int)
        for key, trigger in (triggers or {}).items():
            self.put(key, trigger)

    def __len__(self) -> int:
        return len(self._triggers)

    def put(self, key: str, trigger: Trigger) -> None:
        """Add a trigger, or put it in the place of its older revision."""
        self.remove(key)
        self._triggers[key] = trigger
        marks = self._wanted(condition.expression for condition in trigger.conditions)
        if marks is None:
            self._always.add(key)
            return
        self._marks[key] = tuple(dict.fromkeys(marks))
        for mark in self._marks[key]:
            self._add(mark, key)

    def remove(self, key: str) -> None:
        """Forget a trigger, if it is there."""
        if self._triggers.pop(key, None) is None:
            return
        self._always.discard(key)
        for mark in self._marks.pop(key, ()):
            self._drop(mark, key)

    def eligible(self, alert: Alert) -> tuple[tuple[str, Verdict], ...]:
        """The keys of those whose conditions all hold, in order, each with its reasons."""
        subject = subject_of(alert)
        judged = ((key, judge(self._triggers[key], subject)) for key in sorted(self._possible(subject)))
        return tuple((key, verdict) for key, verdict in judged if verdict.holds)

    def possible(self, alert: Alert) -> frozenset[str]:
        """The keys of those that must be evaluated; all others do not hold."""
        return frozenset(self._possible(subject_of(alert)))

    def _possible(self, subject: Subject) -> set[str]:
        found = set(self._always)
        for mark in self._borne(subject):
            found |= self._keys.get(mark, _NONE)
        return found

    def _borne(self, subject: Subject) -> Iterator[_Mark]:
        yield from self._texts_in(subject)
        for field in self._fields:
            value = field_of(subject.alert, field).casefold()
            if value:
                yield _Value(field, value)
                yield from (_Start(field, value[:end]) for end in range(1, min(len(value), _PREFIX_MAX) + 1))

    def _texts_in(self, subject: Subject) -> Iterator[_Text]:
        grams = _grams(subject.title) | _grams(subject.body)
        for gram in grams & self._texts_by_gram.keys():
            for mark in self._texts_by_gram[gram]:
                if mark.text in subject.title or mark.text in subject.body:
                    yield mark
        for mark in self._texts_by_gram.get("", ()):
            if mark.text in subject.title or mark.text in subject.body:
                yield mark

    def _wanted(self, expressions: Iterable[Expression]) -> tuple[_Mark, ...] | None:
        """All of these hold together: the marks of the one that fewest others wait for."""
        each = [marks for expression in expressions if (marks := self._marks_of(expression)) is not None]
        return min(each, key=self._cost) if each else None

    def _marks_of(self, expression: Expression) -> tuple[_Mark, ...] | None:
        """An alert that meets the expression bears one of these; None if nothing is certain."""
        match expression:
            case Contains(text):
                return (_Text(text.casefold()),) if text else None
            case FieldIs(field, glob):
                return _marks_of_glob(field, glob)
            case SeverityIs(word):
                severity, urgency = SEVERITY_WORDS[word]
                by_urgency = () if urgency is None else (_Value("urgency", urgency.value),)
                return (_Value("severity", severity.value), *by_urgency)
            case AllOf(parts):
                return self._wanted(parts)
            case AnyOf(parts):
                each = [self._marks_of(part) for part in parts]
                return None if None in each else tuple(mark for marks in each for mark in marks or ())
        return None

    def _cost(self, marks: tuple[_Mark, ...]) -> int:
        return sum(len(self._keys.get(mark, _NONE)) + _cost_of_kind(mark) for mark in marks)

    def _add(self, mark: _Mark, key: str) -> None:
        if mark in self._keys:
            self._keys[mark].add(key)
            return
        self._keys[mark] = {key}
        if isinstance(mark, _Text):
            self._texts_by_gram.setdefault(self._gram_for(mark.text), set()).add(mark)
        else:
            self._fields[mark.field] += 1

    def _drop(self, mark: _Mark, key: str) -> None:
        self._keys[mark].discard(key)
        if self._keys[mark]:
            return
        del self._keys[mark]
        if isinstance(mark, _Text):
            self._drop_text(mark)
        else:
            self._fields[mark.field] -= 1
            if not self._fields[mark.field]:
                del self._fields[mark.field]

    def _drop_text(self, mark: _Text) -> None:
        for gram in (*_grams(mark.text), ""):
            texts = self._texts_by_gram.get(gram)
            if texts is None or mark not in texts:
                continue
            texts.discard(mark)
            if not texts:
                del self._texts_by_gram[gram]

    def _gram_for(self, text: str) -> str:
        """The piece that fewest other texts are found by; "" for a text that is too short for one."""
        return min(sorted(_grams(text)), key=lambda gram: len(self._texts_by_gram.get(gram, ())), default="")


_NONE: frozenset[str] = frozenset()


def _cost_of_kind(mark: _Mark) -> int:
    if isinstance(mark, _Text):
        return 2 if len(mark.text) >= _GRAM else 50
    if mark.field in ("severity", "urgency"):
        return _SEVERITY_COST
    return 1 if isinstance(mark, _Value) else 3


def _marks_of_glob(field: str, glob: str) -> tuple[_Mark, ...] | None:
    """Only for ASCII is it certain that the engine and `casefold` agree about what is the same letter."""
    begin = min((at for wildcard in "*?" if (at := glob.find(wildcard)) >= 0), default=len(glob))
    start = glob[:begin]
    if not start or not start.isascii():
        return None
    if begin == len(glob):
        return (_Value(field, start.casefold()),)
    return (_Start(field, start.casefold()[:_PREFIX_MAX]),)


def _grams(text: str) -> set[str]:
    return {text[at : at + _GRAM] for at in range(len(text) - _GRAM + 1)}
