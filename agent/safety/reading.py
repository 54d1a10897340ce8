"""Reads an argv as its executable would, by exact names: nothing is abbreviated, nothing unknown passes."""

from __future__ import annotations

from collections.abc import Sequence

from agent.domain.command import Filled, Refusal
from agent.safety.grammar import Invocation, Option, OptionUse, Tool, filled_in, nearest


def read(argv: Sequence[str], tool: Tool, *, filled: Sequence[Filled] = ()) -> Invocation | Refusal:
    """Read an argv by its tool's grammar, or refuse what it does not know.

    A word in which a parameter stands is never a subcommand, nor an option by the parameter's will.
    """
    if tool.free_text:
        return Invocation(tool, tool.command, (), (), tuple(argv[1:]))
    return _Reader(tool, argv[1:], filled).read()


class _Reader:
    """Walks through the words once, as the tool itself would."""

    def __init__(self, tool: Tool, words: Sequence[str], filled: Sequence[Filled]) -> None:
        self._tool = tool
        self._words = list(words)
        self._end = len(words) + 1
        self._filled = tuple(filled)
        self._places: list[int] = []
        self._passed_at = 0
        self._command = tool.command
        self._path: list[str] = []
        self._known = dict(tool.command.options)
        self._uses: list[OptionUse] = []
        self._arguments: list[str] = []
        self._passed_on: tuple[str, ...] | None = None

    def read(self) -> Invocation | Refusal:
        while self._words:
            refusal = self._take(self._words.pop(0))
            if refusal is not None:
                return refusal
        if self._command.commands:
            hint = nearest("", self._command.commands, noun="subcommand")
            return Refusal(f"{self._name()} without a subcommand", hint)
        return Invocation(
            self._tool,
            self._command,
            tuple(self._path),
            tuple(self._uses),
            tuple(self._arguments),
            self._passed_on,
            self._filled,
            tuple(self._places),
            self._passed_at,
        )

    def _at(self) -> int:
        """Where the word that was just taken stands in the argv."""
        return self._end - len(self._words) - 1

    def _add_rest(self) -> None:
        self._places.extend(range(self._at() + 1, self._end))
        self._arguments.extend(self._words)
        self._words = []

    def _name(self) -> str:
        return " ".join((self._tool.name, *self._path))

    def _take(self, word: str) -> Refusal | None:
        if word == "--" and self._tool.ends_options:
            return self._end_of_options()
        is_option = len(word) > 1 and word[0] in self._tool.option_prefixes
        if not is_option or (not self._tool.permutes and (self._arguments or self._path)):
            return self._positional(word)
        if any(each.start == 0 for each in filled_in(self._filled, self._at())):
            return Refusal(f"{self._name()}: a parameter cannot be an option", "restrict it with a pattern")
        if self._tool.numeric is not None and word[1:].isdigit():
            return self._numeric(word)
        if word.startswith("--") or self._tool.word_options:
            return self._long(word)
        return self._short(word)

    def _end_of_options(self) -> Refusal | None:
        if self._command.passes_on:
            self._passed_at = self._at() + 1
            self._passed_on, self._words = tuple(self._words), []
            return None
        if self._command.commands:
            return Refusal(f"`--` in front of a subcommand of {self._name()}", "remove it")
        self._add_rest()
        return None

    def _positional(self, word: str) -> Refusal | None:
        if not self._command.commands:
            self._arguments.append(word)
            self._places.append(self._at())
            return None
        if filled_in(self._filled, self._at()):
            hint = "write it out; a parameter is a value, not what is done"
            return Refusal(f"{self._name()}: a parameter cannot be the subcommand", hint)
        key = word.upper() if self._tool.any_case else word
        found = self._command.commands.get(key)
        if found is None:
            hint = nearest(key, self._command.commands, noun="subcommand")
            return Refusal(f"{self._name()} {word} is not known", hint)
        self._command = found
        self._path.append(found.name)
        self._known |= found.options
        if not self._tool.permutes and not found.commands:
            self._add_rest()
        return self._refused("", found.refusal) if found.refusal else None

    def _refused(self, option: str, refusal: Refusal) -> Refusal:
        return Refusal(f"{self._name()} {option}".rstrip() + f": {refusal.reason}", refusal.hint)

    def _numeric(self, word: str) -> Refusal | None:
        assert self._tool.numeric is not None
        checked = self._tool.numeric.check(word[1:])
        return checked if isinstance(checked, Refusal) else None

    def _long(self, word: str) -> Refusal | None:
        name, has_value, value = self._split(word)
        option = self._known.get(name)
        if option is None:
            return self._unknown(name)
        if option.refusal is not None:
            return self._refused(name, option.refusal)
        if has_value and len(option.values) != 1:
            return Refusal(f"{self._name()}: {name} takes no value", f"write {name}")
        if option.many:
            return self._use_with_all_following(option, name, (value,) if has_value else ())
        if has_value or option.optional:
            return self._use(option, (value,) if has_value else ())
        return self._use_with_following(option, name)

    def _split(self, word: str) -> tuple[str, str, str]:
        """`--name=value`; dig's `@server` is an option with its value too."""
        if word[0] == "@":
            return "@", "@", word[1:]
        return word.partition("=") if self._tool.equals else (word, "", "")

    def _short(self, word: str) -> Refusal | None:
        """`-abc`, `-n5`, `-n 5`: letters are options until one that takes a value."""
        if not self._tool.clusters and word not in self._known and not self._attached(word):
            return self._unknown(word)
        letters = word[1:] if word[0] == "-" else word
        while letters:
            name, letters = self._letter(word, letters)
            option = self._known.get(name)
            if option is None:
                return self._unknown(name if len(word) == 2 else f"{name} (in {word})")
            if option.refusal is not None:
                return self._refused(name, option.refusal)
            if option.values and not option.optional:
                return self._short_value(option, name, letters)
            if refusal := self._use(option, ()):
                return refusal
        return None

    def _letter(self, word: str, letters: str) -> tuple[str, str]:
        return (f"-{letters[0]}" if word[0] == "-" else letters[0]), letters[1:]

    def _attached(self, word: str) -> bool:
        option = self._known.get(word[:2] if word[0] == "-" else word[0])
        return option is not None and bool(option.values)

    def _short_value(self, option: Option, name: str, attached: str) -> Refusal | None:
        if not attached:
            return self._use_with_following(option, name)
        if self._tool.short_equals and attached.startswith("="):
            attached = attached[1:]
        if len(option.values) != 1:
            return Refusal(f"{self._name()}: {name} takes its values as words", "put blanks between them")
        return self._use(option, (attached,))

    def _use_with_following(self, option: Option, name: str) -> Refusal | None:
        count = len(option.values)
        values, self._words = tuple(self._words[:count]), self._words[count:]
        if len(values) < count:
            return Refusal(f"{self._name()}: {name} misses its value", f"write {name} VALUE")
        return self._use(option, values)

    def _use_with_all_following(self, option: Option, name: str, values: tuple[str, ...]) -> Refusal | None:
        """Every word up to the next option is a value; by `=` it is that one alone, as argparse has it."""
        if values:
            return self._use(option, values)
        words: list[str] = []
        while self._words and not self._words[0].startswith("-"):
            words.append(self._words.pop(0))
        if not words:
            return Refusal(f"{self._name()}: {name} misses its values", f"write {name} VALUE …")
        return self._use(option, tuple(words))

    def _use(self, option: Option, values: tuple[str, ...]) -> Refusal | None:
        given_before = any(use.option is option for use in self._uses)
        if given_before and not option.repeat and option.values:
            return Refusal(f"{self._name()}: {option.names[0]} is given twice", "give it once")
        self._uses.append(OptionUse(option, values))
        return None

    def _unknown(self, name: str) -> Refusal:
        allowed = [known for known, option in self._known.items() if option.refusal is None]
        hint = nearest(name.split(" ")[0], allowed, noun="option")
        return Refusal(f"{self._name()}: the option {name} is not known", hint)
