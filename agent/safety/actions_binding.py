"""Parameters of the runbook in a typed action: they fill texts, never a name, a key or another type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import re2

from agent.domain.command import Filled, Refusal
from agent.domain.runbook import Action
from agent.safety.language import MAX_VALUE

#: The argument whose words are judged as a command.
COMMAND = "command"
_OPTION_NAME = re2.compile(r"--?[A-Za-z0-9-]*")
_SLOT = re2.compile(r"\{\{[ \t]*([a-z_][a-z0-9_]*)[ \t]*\}\}")


def bind(action: Action, values: Mapping[str, str]) -> Action | Refusal:
    """Fill every `{{ name }}`; a value becomes text inside one text and is never parsed."""
    binder = _Binder(values)
    arguments = {key: binder.bound(value, command=key == COMMAND) for key, value in action.arguments.items()}
    if binder.refusal is not None:
        return Refusal(f"{action.name}: {binder.refusal.reason}", binder.refusal.hint)
    return replace(action, arguments=arguments, filled=tuple(binder.filled))


@dataclass(slots=True)
class _Binder:
    values: Mapping[str, str]
    filled: list[Filled] = field(default_factory=list)
    refusal: Refusal | None = None

    def bound(self, value: object, *, command: bool) -> object:
        """The value with its texts filled in, of the same shape."""
        if isinstance(value, str):
            return self._text(value, word=None)
        if isinstance(value, list | tuple):
            items = [
                self._text(item, word=at if command else None) if isinstance(item, str) else item
                for at, item in enumerate(value)
            ]
            return tuple(items)
        if isinstance(value, Mapping):
            return {key: self.bound(item, command=False) for key, item in value.items()}
        return value

    def _text(self, text: str, *, word: int | None) -> str:
        filled, at = "", 0
        for found in _SLOT.finditer(text):
            value = self._value(found.group(1))
            filled += text[at : found.start()]
            if not filled and value.startswith("-"):
                reason = f"the parameter {found.group(1)} is {value!r} and could be read as an option"
                self._refuse(reason, "restrict it with a pattern that does not begin with a dash")
            if word is not None and _OPTION_NAME.fullmatch(filled):
                hint = "write --option={{ parameter }}, or the parameter as a word of its own"
                self._refuse("a parameter cannot choose an option", hint)
            if word is not None:
                self.filled.append(Filled(word, len(filled), len(filled) + len(value)))
            filled += value
            at = found.end()
        return filled + text[at:]

    def _value(self, name: str) -> str:
        value = self.values.get(name)
        if value is None:
            self._refuse(f"there is no parameter {name}", "declare it in the runbook's Parameters section")
        elif not value or len(value) > MAX_VALUE or not value.isprintable():
            self._refuse(
                f"the parameter {name} is empty, too long or not printable", "restrict it by a pattern"
            )
        return value or ""

    def _refuse(self, reason: str, hint: str) -> None:
        self.refusal = self.refusal or Refusal(reason, hint)
