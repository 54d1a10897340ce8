"""The strict command language: what a step's text says, as argvs, or where it is not understood.

It is a subset of bash's: whatever `parse` accepts means exactly the same argvs to bash, and everything
else is refused with its position. A bound value replaces text inside one word and is never parsed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import re2

from agent.domain.command import Connector, Filled, Link, Pipeline, Refusal, Script, SimpleCommand
from agent.domain.remembering import once_each
from agent.safety.lexer import (
    Lexer,
    Operator,
    Part,
    Redirect,
    Redirection,
    Slot,
    Token,
    Word,
    refusal_at,
)

MAX_TEXT = 65_536
MAX_COMMANDS = 64
MAX_VALUE = 4_096

_COMMAND_NAME = re2.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")
_ASSIGNMENT = re2.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_OPTION_NAME = re2.compile(r"--?[A-Za-z0-9-]*")
_RESERVED = frozenset(
    (
        *("if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until"),
        *("do", "done", "in", "function", "time", "coproc"),
    )
)
_CONNECTORS = {
    ";": Connector.ALWAYS,
    "\n": Connector.ALWAYS,
    "&&": Connector.AND,
    "||": Connector.OR,
}


@dataclass(frozen=True, slots=True)
class TemplateCommand:
    """One command whose words may have placeholders."""

    words: tuple[tuple[Part, ...], ...]
    quiet_stdout: bool = False
    quiet_stderr: bool = False
    merge_stderr: bool = False


@dataclass(frozen=True, slots=True)
class TemplateLink:
    """Commands joined by `|`, and the connector in front of them."""

    connector: Connector
    commands: tuple[TemplateCommand, ...]


@dataclass(frozen=True, slots=True)
class ParsedTemplate:
    """A step's text, understood; `bind` fills the placeholders."""

    links: tuple[TemplateLink, ...]

    @property
    @once_each(most=512)
    def placeholders(self) -> tuple[str, ...]:
        """Names of the parameters that it needs, in order of appearance."""
        names = [
            part.name
            for link in self.links
            for command in link.commands
            for word in command.words
            for part in word
            if isinstance(part, Slot)
        ]
        return tuple(dict.fromkeys(names))


@lru_cache(maxsize=512)  # the steps of a runbook are read again for every incident
def parse(text: str) -> ParsedTemplate | Refusal:
    """Understand a step's text whole, or refuse it with the line and column to look at."""
    if len(text) > MAX_TEXT:
        return Refusal(f"the command has {len(text)} characters, more than {MAX_TEXT}", "make it a script")
    for at, char in enumerate(text):
        if not (" " <= char <= "~" or char in "\t\n"):
            hint = "use printable ASCII, and a parameter for other text"
            return refusal_at(text, at, reason=f"the character {char!r} is not available", hint=hint)
    tokens = Lexer(text).tokens()
    if isinstance(tokens, Refusal):
        return tokens
    return _Assembler(text).assemble(tokens)


class _Assembler:
    """Joins tokens to commands, commands to pipelines, pipelines to the whole."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._links: list[TemplateLink] = []
        self._connector = Connector.ALWAYS
        self._pipeline: list[TemplateCommand] = []
        self._command: TemplateCommand | None = None
        self._waits = ""

    def assemble(self, tokens: tuple[Token, ...]) -> ParsedTemplate | Refusal:
        for token in tokens:
            refusal = self._take(token)
            if refusal is not None:
                return refusal
        if refusal := self._take(Operator("\n", len(self._text))):
            return refusal
        if self._waits:
            return self._refuse(len(self._text), f"nothing follows `{self._waits}`", "add a command")
        if not self._links:
            return Refusal("line 1, column 1: there is no command", "write one, or remove the step")
        count = sum(len(link.commands) for link in self._links)
        if count > MAX_COMMANDS:
            return Refusal(f"the step has {count} commands, more than {MAX_COMMANDS}", "split it")
        return ParsedTemplate(tuple(self._links))

    def _take(self, token: Token) -> Refusal | None:
        match token:
            case Word():
                return self._word(token)
            case Redirect():
                return self._redirect(token)
            case Operator(text="\n") if self._command is None:
                return None
            case Operator():
                return self._operator(token)

    def _word(self, word: Word) -> Refusal | None:
        if self._command is None:
            self._waits = ""
            self._command = TemplateCommand((word.parts,))
            return self._check_name(word)
        self._command = replace(self._command, words=(*self._command.words, word.parts))
        return self._check_slots(word)

    def _check_name(self, word: Word) -> Refusal | None:
        if any(isinstance(part, Slot) for part in word.parts):
            return self._refuse(word.at, "a parameter cannot be the command", "write the command's name")
        if not word.plain:
            return self._refuse(word.at, "a command's name stands without quotes", "remove the quotes")
        if word.text in _RESERVED:
            reason = f"`{word.text}` is a word of the shell's own language"
            return self._refuse(word.at, reason, "write the commands one after the other, `&&` on success")
        if _ASSIGNMENT.match(word.text):
            return self._refuse(word.at, "variables cannot be set", "use {{ parameter }} where it is needed")
        if not _COMMAND_NAME.fullmatch(word.text):
            return self._refuse(word.at, f"`{word.text}` is not a command's name", "name the program")
        return None

    def _check_slots(self, word: Word) -> Refusal | None:
        """A parameter may be an option's value (`--name={{ x }}`), never decide which option it is."""
        first = word.parts[0] if word.parts else ""
        has_slot = any(isinstance(part, Slot) for part in word.parts)
        if has_slot and isinstance(first, str) and _OPTION_NAME.fullmatch(first):
            hint = "write --option={{ parameter }}, or the parameter as a word of its own"
            return self._refuse(word.at, "a parameter cannot choose an option", hint)
        return None

    def _redirect(self, redirect: Redirect) -> Refusal | None:
        command = self._command
        if command is None:
            return self._refuse(redirect.at, "a redirection before the command", "put it after the command")
        if redirect.kind is Redirection.QUIET_STDOUT and command.merge_stderr:
            reason = f"`2>&1 {redirect.kind}` silences only one of the two streams"
            return self._refuse(redirect.at, reason, "write `>/dev/null 2>&1` to silence both")
        self._command = _redirected(command, redirect.kind)
        return None

    def _operator(self, operator: Operator) -> Refusal | None:
        if self._command is None:
            reason = f"no command in front of `{operator.text}`"
            return self._refuse(operator.at, reason, "remove it, or add a command")
        self._pipeline.append(self._command)
        self._command = None
        if operator.text == "|":
            self._waits = "|"
            return None
        self._links.append(TemplateLink(self._connector, tuple(self._pipeline)))
        self._pipeline = []
        self._connector = _CONNECTORS[operator.text]
        self._waits = operator.text if operator.text in ("&&", "||") else ""
        return None

    def _refuse(self, at: int, reason: str, hint: str) -> Refusal:
        return refusal_at(self._text, at, reason=reason, hint=hint)


def _redirected(command: TemplateCommand, kind: Redirection) -> TemplateCommand:
    """Redirections take effect from left to right, as in bash: `2>&1` follows stdout as it is now."""
    match kind:
        case Redirection.QUIET_STDOUT:
            return replace(command, quiet_stdout=True)
        case Redirection.QUIET_STDERR:
            return replace(command, quiet_stderr=True, merge_stderr=False)
        case Redirection.QUIET_BOTH:
            return replace(command, quiet_stdout=True, quiet_stderr=True, merge_stderr=False)
        case Redirection.MERGE_STDERR:
            quiet = command.quiet_stdout
            return replace(command, quiet_stderr=quiet, merge_stderr=not quiet)


def bind(template: ParsedTemplate, values: Mapping[str, str]) -> Script | Refusal:
    """Fill the placeholders; a value becomes text inside one word and is never parsed."""
    for name in template.placeholders:
        if refusal := _check_value(name, values):
            return refusal
    links = []
    for link in template.links:
        commands = tuple(_bound(command, values) for command in link.commands)
        refusals = [command for command in commands if isinstance(command, Refusal)]
        if refusals:
            return refusals[0]
        bound = tuple(command for command in commands if isinstance(command, SimpleCommand))
        links.append(Link(link.connector, Pipeline(bound)))
    return Script(tuple(links))


def _check_value(name: str, values: Mapping[str, str]) -> Refusal | None:
    if name not in values:
        return Refusal(f"there is no parameter {name}", "declare it in the runbook's Parameters section")
    value = values[name]
    if not value:
        return Refusal(f"the parameter {name} is empty", "give it a default, or a pattern that needs text")
    if len(value) > MAX_VALUE:
        return Refusal(f"the parameter {name} has {len(value)} characters, more than {MAX_VALUE}")
    if not value.isprintable():
        hint = "restrict it with a pattern"
        return Refusal(f"the parameter {name} has characters that cannot be printed", hint)
    return None


def _bound(command: TemplateCommand, values: Mapping[str, str]) -> SimpleCommand | Refusal:
    argv: list[str] = []
    filled: list[Filled] = []
    for at, parts in enumerate(command.words):
        first = parts[0] if parts else ""
        if isinstance(first, Slot) and values[first.name].startswith("-"):
            reason = f"the parameter {first.name} is {values[first.name]!r} and would be read as an option"
            return Refusal(reason, "restrict it with a pattern that does not begin with a dash")
        word = ""
        for part in parts:
            text = part if isinstance(part, str) else values[part.name]
            if isinstance(part, Slot):
                filled.append(Filled(at, len(word), len(word) + len(text)))
            word += text
        argv.append(word)
    return SimpleCommand(
        tuple(argv),
        quiet_stdout=command.quiet_stdout,
        quiet_stderr=command.quiet_stderr,
        merge_stderr=command.merge_stderr,
        filled=tuple(filled),
    )
