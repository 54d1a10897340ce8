"""The arguments of a typed action, read by a strict schema: nothing unknown, nothing of another type."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import re2

from agent.domain.command import Filled, Refusal
from agent.domain.runbook import Action
from agent.safety.grammar import nearest

MOST_WORDS = 256
MOST_CHARS = 8_192

Value = str | int | bool | tuple[str, ...] | Mapping[str, tuple[str, ...]]


class Type(Protocol):
    """What an argument may be."""

    def read(self, value: object) -> Value | Refusal:
        """The value, or why it cannot stand here (`{name}` is filled in by the caller)."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a pattern as a whole."""

    pattern: str
    says: str

    def read(self, value: object) -> Value | Refusal:
        """The text."""
        if not isinstance(value, str):
            return Refusal(f"{value!r} is not a text", f'write it in quotes: "{value}"')
        if len(value) > MOST_CHARS or re2.fullmatch(self.pattern, value) is None:
            return Refusal(f"{value!r} is not {self.says}", f"it must match {self.pattern}")
        return value


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of different texts, each of which matches a pattern."""

    of: Text
    most: int

    def read(self, value: object) -> Value | Refusal:
        """The texts."""
        if not isinstance(value, list | tuple) or not value:
            return Refusal(f"{value!r} is not a list", f"write a list, each one {self.of.says}")
        if len(value) > self.most:
            return Refusal(f"{len(value)} are more than {self.most}", "write fewer")
        found = [self.of.read(each) for each in value]
        if refusal := next((each for each in found if isinstance(each, Refusal)), None):
            return refusal
        if len(set(value)) < len(value):
            return Refusal("one of them is named twice", "name each one once")
        return tuple(value)


@dataclass(frozen=True, slots=True)
class Words:
    """A command as a list of words, which are judged by the effect tables."""

    def read(self, value: object) -> Value | Refusal:
        """The words."""
        if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_WORDS:
            return Refusal(
                f"{value!r} is not a command", "write it as a list of words, such as [redis-cli, PING]"
            )
        for word in value:
            if not isinstance(word, str):
                return Refusal(f"{word!r} is not a text", f'write it in quotes: "{word}"')
            if len(word) > MOST_CHARS or not word.isprintable():
                return Refusal("a word is too long or cannot be printed", "write a plain word")
        return tuple(value)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    least: int
    most: int

    def read(self, value: object) -> Value | Refusal:
        """The number."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            return Refusal(
                f"{value!r} is not a number from {self.least} to {self.most}", "write it without quotes"
            )
        return value


@dataclass(frozen=True, slots=True)
class YesNo:
    """True or false."""

    def read(self, value: object) -> Value | Refusal:
        """The answer."""
        return value if isinstance(value, bool) else Refusal(f"{value!r} is not true or false", "write true")


@dataclass(frozen=True, slots=True)
class Table:
    """Names with a text or a list of texts each; what they may be is judged where they are used."""

    def read(self, value: object) -> Value | Refusal:
        """Every name with its texts."""
        if not isinstance(value, Mapping):
            return Refusal(f"{value!r} is not a mapping", "write {name: value}")
        found: dict[str, tuple[str, ...]] = {}
        for name, texts in value.items():
            listed = texts if isinstance(texts, list | tuple) else (texts,)
            if not isinstance(name, str) or not listed or not all(isinstance(each, str) for each in listed):
                return Refusal(f"{texts!r} is not a text or a list of texts", 'write it in quotes: "1"')
            found[name] = tuple(listed)
        return found


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument by its name."""

    name: str
    type: Type
    required: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """What an action takes: its arguments, and exactly one of those in `one_of`."""

    arguments: tuple[Argument, ...]
    one_of: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one action, checked; in the order of its form."""

    action: str
    values: Mapping[str, Value] = field(default_factory=dict)
    filled: tuple[Filled, ...] = ()

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        return cast(str, self.values.get(name, default))

    def number(self, name: str) -> int | None:
        """A number."""
        return cast("int | None", self.values.get(name))

    def flag(self, name: str) -> bool:
        """Whether it is set."""
        return bool(self.values.get(name, False))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list."""
        return cast("tuple[str, ...]", self.values.get(name, ()))

    def table(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Names with their texts."""
        return cast("Mapping[str, tuple[str, ...]]", self.values.get(name, {}))

    def chosen(self, names: Sequence[str]) -> tuple[str, str]:
        """The one of several arguments that was given, and its text."""
        name = next(name for name in names if name in self.values)
        return name, self.text(name)

    @property
    def words(self) -> tuple[str, ...]:
        """The action as an argv that people can read; other arguments give other words."""
        return (self.action, *(f"{name}={_shown(value)}" for name, value in self.values.items()))


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return shlex.join(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def read(action: Action, form: Form) -> Arguments | Refusal:
    """Every argument by its type, or the first thing that is wrong."""
    known = {argument.name: argument for argument in (*form.arguments, *form.one_of)}
    for name in action.arguments:
        if name not in known:
            return Refusal(
                f"{action.name}: the argument {name} is not known", nearest(name, known, noun="argument")
            )
    if refusal := _missing(action, form):
        return refusal
    values: dict[str, Value] = {}
    for name, argument in known.items():
        if name not in action.arguments:
            continue
        value = argument.type.read(action.arguments[name])
        if isinstance(value, Refusal):
            return Refusal(f"{action.name}: {name}: {value.reason}", value.hint)
        values[name] = value
    return Arguments(action.name, values, action.filled)


def _missing(action: Action, form: Form) -> Refusal | None:
    for argument in form.arguments:
        if argument.required and argument.name not in action.arguments:
            return Refusal(f"{action.name} without {argument.name}", f"add {argument.name}")
    names = [argument.name for argument in form.one_of]
    given = [name for name in names if name in action.arguments]
    if form.one_of and len(given) != 1:
        what = f"{' and '.join(given)}" if given else "none"
        return Refusal(f"{action.name} takes one of {', '.join(names)}, not {what}", "name exactly one")
    return None
