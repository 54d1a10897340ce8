"""Splits a step's text into words, operators and redirections, or says where it is not understood.

Every rule here is bash's own for the characters that are let through; all the others are refused, so
that nothing accepted can mean anything else to bash.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import re2

from agent.domain.command import Refusal


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a parameter: `{{ name }}`."""

    name: str


Part = str | Slot


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `plain` says that it was written without quotes and without placeholders."""

    parts: tuple[Part, ...]
    plain: bool
    at: int

    @property
    def text(self) -> str:
        """What was written, placeholders shown by their names."""
        return "".join(part if isinstance(part, str) else f"{{{{ {part.name} }}}}" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Operator:
    """What joins commands: `|`, `&&`, `||`, `;` or a line's end."""

    text: str
    at: int


class Redirection(StrEnum):
    """The redirections that exist here."""

    QUIET_STDOUT = ">/dev/null"
    QUIET_STDERR = "2>/dev/null"
    QUIET_BOTH = "&>/dev/null"
    MERGE_STDERR = "2>&1"


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection and where it stands."""

    kind: Redirection
    at: int


Token = Word | Operator | Redirect

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,@%+=^#")
_BLANK = " \t"
_END_OF_WORD = " \t\n;|&"
_OPERATORS = ("&&", "||", "|", ";", "\n")
_SLOT = re2.compile(r"\{\{[ \t]*([a-z_][a-z0-9_]*)[ \t]*\}\}")
_LIKE_A_SLOT = re2.compile(r"\{\{[ \t]*[A-Za-z_][A-Za-z0-9_-]*[ \t]*\}\}")
_REDIRECT = re2.compile(r"(&>|1?>|2>)[ \t]*/dev/null|2>&1")
_STARTS_REDIRECT = re2.compile(r"&>|[0-9]*[<>]")
_REDIRECTIONS = {
    "2>&1": Redirection.MERGE_STDERR,
    "&>": Redirection.QUIET_BOTH,
    "2>": Redirection.QUIET_STDERR,
}
_QUOTE_IT = "put it in single quotes if it is meant literally"
_REFUSED = {
    "$": ("a `$` would be expanded by a shell", "use {{ parameter }} for a value, or single quotes"),
    "`": ("a backtick would run a command", "run that command as a step of its own and capture its output"),
    "*": ("a `*` would be expanded to file names", _QUOTE_IT),
    "?": ("a `?` would be expanded to file names", _QUOTE_IT),
    "[": ("a `[` would be expanded to file names", _QUOTE_IT),
    "]": ("a `]` belongs to a file name pattern", _QUOTE_IT),
    "{": ("a `{` would be expanded or start a group", "write {{ parameter }}, or single quotes"),
    "}": ("a `}` belongs to a group or an expansion", _QUOTE_IT),
    "~": ("a `~` would be expanded to a home directory", "write the whole path"),
    "!": ("a `!` negates or recalls history", _QUOTE_IT),
    "(": ("a `(` starts a subshell or a function", "write the commands one after the other"),
    ")": ("a `)` ends a subshell", "write the commands one after the other"),
    "\\": ("a backslash outside quotes", "use single quotes; at a line's end it continues the line"),
    ">": ("a redirection that touches a word", "put a blank in front of it"),
    "<": ("input from a file", "name the file as an argument of the command"),
}
_REDIRECTION_HINT = "only >/dev/null, 2>/dev/null, &>/dev/null and 2>&1 are available"


def refusal_at(text: str, at: int, *, reason: str, hint: str = "") -> Refusal:
    """A refusal that tells the line and column to look at."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return Refusal(f"line {line}, column {column}: {reason}", hint)


class Lexer:
    """Reads one text from left to right; `tokens()` gives all tokens or the first refusal."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def tokens(self) -> tuple[Token, ...] | Refusal:
        """Every token in order."""
        found: list[Token] = []
        while self._skip_blanks():
            token = self._token()
            if isinstance(token, Refusal):
                return token
            found.append(token)
        return tuple(found)

    def _skip_blanks(self) -> bool:
        """Go to the next token; blanks, continued lines and comments mean nothing. False at the end."""
        while self._at < len(self._text):
            if self._text[self._at] in _BLANK:
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return True
        return False

    def _token(self) -> Token | Refusal:
        if _STARTS_REDIRECT.match(self._text[self._at : self._at + 16]):
            return self._redirect()
        for operator in _OPERATORS:
            if self._text.startswith(operator, self._at):
                return self._operator(operator)
        if self._text[self._at] == "&":
            hint = "a step runs to its end; `&&` runs the next command on success"
            return self._refuse("a `&` would leave a command running in the background", hint)
        return self._word()

    def _redirect(self) -> Redirect | Refusal:
        start = self._at
        found = _REDIRECT.match(self._text[start : start + 64])
        if not found:
            return self._refuse("this redirection is not available", _REDIRECTION_HINT)
        self._at = start + found.end()
        if self._at < len(self._text) and self._text[self._at] not in _END_OF_WORD:
            return self._refuse("a redirection goes to /dev/null alone", _REDIRECTION_HINT)
        written = found.group(1) or found.group(0)
        return Redirect(_REDIRECTIONS.get(written, Redirection.QUIET_STDOUT), start)

    def _operator(self, operator: str) -> Operator | Refusal:
        start = self._at
        if self._text.startswith("|&", start):
            return self._refuse("`|&` is not available", "write `2>&1 |`")
        if self._text.startswith(";;", start) or self._text.startswith(";&", start):
            return self._refuse("`;;` and `;&` belong to a case", "write the commands one after the other")
        self._at += len(operator)
        return Operator(operator, start)

    def _word(self) -> Word | Refusal:
        start, plain = self._at, True
        parts: list[Part] = []
        while self._at < len(self._text) and self._text[self._at] not in _END_OF_WORD:
            plain = plain and self._text[self._at] not in "'\"{"
            pieces = self._pieces()
            if isinstance(pieces, Refusal):
                return pieces
            parts.extend(pieces)
        return Word(_joined(parts), plain, start)

    def _pieces(self) -> list[Part] | Refusal:
        char = self._text[self._at]
        if char == "'":
            return self._quoted("'")
        if char == '"':
            return self._quoted('"')
        if self._text.startswith("\\\n", self._at):
            self._at += 2
            return []
        if char == "{" and (slot := self._slot()):
            return slot if isinstance(slot, Refusal) else [slot]
        if char not in _PLAIN:
            reason, hint = _REFUSED.get(char, (f"the character {char!r} is not available", _QUOTE_IT))
            return self._refuse(reason, hint)
        self._at += 1
        return [char]

    def _quoted(self, quote: str) -> list[Part] | Refusal:
        start = self._at
        self._at += 1
        parts: list[Part] = []
        while self._at < len(self._text):
            if self._text[self._at] == quote:
                self._at += 1
                return parts
            piece = self._quoted_piece(quote)
            if isinstance(piece, Refusal):
                return piece
            parts.append(piece)
        name = "single" if quote == "'" else "double"
        return refusal_at(self._text, start, reason=f"this {name} quote is not closed", hint="close it")

    def _quoted_piece(self, quote: str) -> Part | Refusal:
        if slot := self._slot():
            return slot
        char = self._text[self._at]
        if quote == '"' and char in "$`!":
            reason, _ = _REFUSED[char]
            return self._refuse(f"{reason}, in double quotes too", "use single quotes, or {{ parameter }}")
        if quote == '"' and char == "\\":
            return self._escaped()
        self._at += 1
        return char

    def _escaped(self) -> str | Refusal:
        """A backslash in double quotes: bash drops it before `"` and `\\`, and keeps it before others."""
        following = self._text[self._at + 1 : self._at + 2]
        if following in ("$", "`", "!", "\n", ""):
            return self._refuse("this backslash in double quotes is not available", "use single quotes")
        self._at += 2
        return following if following in '"\\' else "\\" + following

    def _slot(self) -> Slot | Refusal | None:
        """A placeholder here; None if it is something else, such as a Go template in quotes."""
        if not self._text.startswith("{{", self._at):
            return None
        ahead = self._text[self._at : self._at + 256]
        if found := _SLOT.match(ahead):
            self._at += found.end()
            return Slot(found.group(1))
        if _LIKE_A_SLOT.match(ahead):
            return self._refuse(
                "this is not a parameter's name", "use a-z, 0-9 and _, such as {{ pod_name }}"
            )
        return None

    def _refuse(self, reason: str, hint: str) -> Refusal:
        return refusal_at(self._text, self._at, reason=reason, hint=hint)


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    joined: list[Part] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
