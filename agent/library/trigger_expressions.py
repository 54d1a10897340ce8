"""The language of `Alert contains:`, read by recursive descent with the position of every error.

    list        "redis", connection timeout, service:api-*      all must appear
    expression  redis AND (timeout OR "connection refused") AND NOT service:api-staging
    item        words   "a phrase"   /regex/   field:value   field:"a value"   field:/regex/

AND, OR and NOT count in capitals only; in lower case they are words like any other. NOT binds
tighter than AND, AND tighter than OR. Words that follow each other without an operator are one
phrase. A comma list and an expression are not mixed: say what is meant with AND.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from agent.domain.alert import SEVERITY_WORDS
from agent.domain.trigger import AllOf, AnyOf, Contains, Expression, FieldIs, Matches, Not, SeverityIs
from agent.library.problems import NotUnderstoodError
from agent.library.values import QUOTES, read_pattern, read_quoted, shown

MAX_CHARS = 4_000
MAX_TOKENS = 300
MAX_DEPTH = 25
FIELDS = ("title", "body", "service", "source", "severity", "urgency", "team", "environment")
_FIELD = re.compile(r"([A-Za-z_]+|label\.[A-Za-z0-9_.\-/]+):", re.IGNORECASE)
_WORD = re.compile(r'[^\s,()"“”]+')
_LABEL = "label."


class _Kind(Enum):
    AND = auto()
    OR = auto()
    NOT = auto()
    OPEN = auto()
    CLOSE = auto()
    COMMA = auto()
    ITEM = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    position: int
    expression: Expression | None = None
    is_word: bool = False


_OPERATORS = {"AND": _Kind.AND, "OR": _Kind.OR, "NOT": _Kind.NOT}
_PUNCTUATION = {"(": _Kind.OPEN, ")": _Kind.CLOSE, ",": _Kind.COMMA}


def parse(text: str) -> Expression:
    """The expression that the text is; errors say at which character."""
    if len(text) > MAX_CHARS:
        raise NotUnderstoodError(f"longer than {MAX_CHARS} characters", "split it into several lines")
    tokens = _phrases_joined(_tokens(text))
    if len(tokens) > MAX_TOKENS:
        raise NotUnderstoodError(f"more than {MAX_TOKENS} words and signs", "split it into several lines")
    if any(token.kind is _Kind.COMMA for token in tokens):
        return _list(tokens)
    parser = _Parser(tokens)
    expression = parser.either()
    parser.expect_end()
    return expression


def _list(tokens: list[_Token]) -> Expression:
    """Items with commas between them; all must hold."""
    parts: list[Expression] = []
    for index, token in enumerate(tokens[:-1]):
        wanted = _Kind.COMMA if index % 2 else _Kind.ITEM
        if token.kind is not wanted:
            raise _error(token, *_LIST_ERRORS.get(token.kind, _MIXED))
        if token.expression is not None:
            parts.append(token.expression)
    if len(tokens) % 2:
        raise _error(tokens[-1], "an item is missing after the comma", "remove the comma, or write the item")
    return AllOf(tuple(parts))


_MIXED = ("a comma list cannot be mixed with AND, OR, NOT or parentheses", "write AND instead of the commas")
_LIST_ERRORS = {
    _Kind.COMMA: ("a comma too many", "remove it"),
    _Kind.ITEM: ("a comma is missing before", 'write "a", "b"'),
}


def _error(token: _Token, message: str, fix: str) -> NotUnderstoodError:
    where = f"{shown(token.text)} (character {token.position + 1})" if token.text else "its end"
    return NotUnderstoodError(f"{message}: at {where}", fix)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        token, position = _token(text, position)
        tokens.append(token)
    return [*tokens, _Token(_Kind.END, "", len(text))]


def _token(text: str, position: int) -> tuple[_Token, int]:
    character = text[position]
    if character in _PUNCTUATION:
        return _Token(_PUNCTUATION[character], character, position), position + 1
    if character == "/" or character in QUOTES:
        expression, end = _literal(text, position)
        return _Token(_Kind.ITEM, text[position:end], position, expression), end
    if found := _FIELD.match(text, position):
        return _field_token(text, position, found)
    return _word_token(text, position)


def _literal(text: str, position: int) -> tuple[Expression, int]:
    if text[position] == "/":
        pattern, end = read_pattern(text, position)
        return Matches(pattern), end
    phrase, end = read_quoted(text, position)
    if not phrase.strip():
        raise NotUnderstoodError(
            f"an empty text in quotes (character {position + 1})", "write what to look for"
        )
    return Contains(phrase), end


def _word_token(text: str, position: int) -> tuple[_Token, int]:
    found = _WORD.match(text, position)
    if found is None:
        raise NotUnderstoodError(
            f"a quote that nothing opened (character {position + 1})", 'use "…" around a phrase'
        )
    word = found[0]
    if word in _OPERATORS:
        return _Token(_OPERATORS[word], word, position), found.end()
    return _Token(_Kind.ITEM, word, position, Contains(word), is_word=True), found.end()


def _field_token(text: str, position: int, found: re.Match[str]) -> tuple[_Token, int]:
    name = found[1] if found[1].lower().startswith(_LABEL) else found[1].lower()
    if name not in FIELDS and not name.lower().startswith(_LABEL):
        raise NotUnderstoodError(
            f"{shown(found[1])} is not a field (character {position + 1})",
            f"use {', '.join(FIELDS)}, label.<name>, or put the text in quotes",
        )
    if name not in FIELDS:
        name = _LABEL + name[len(_LABEL) :]
    expression, end = _field_value(text, name, found.end())
    return _Token(_Kind.ITEM, text[position:end], position, expression), end


def _field_value(text: str, name: str, position: int) -> tuple[Expression, int]:
    if text.startswith("/", position):
        pattern, end = read_pattern(text, position)
        return Matches(pattern, name), end
    if position < len(text) and text[position] in QUOTES:
        value, end = read_quoted(text, position)
    else:
        found = _WORD.match(text, position)
        value, end = (found[0], found.end()) if found is not None else ("", position)
    if not value.strip():
        raise NotUnderstoodError(
            f"{name}: has no value (character {position + 1})", f"write {name}:value, no space"
        )
    if name == "severity" and value.lower() in SEVERITY_WORDS:
        return SeverityIs(value.lower()), end
    return FieldIs(name, value), end


def _phrases_joined(tokens: list[_Token]) -> list[_Token]:
    """Words that stand side by side become one phrase."""
    joined: list[_Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        if last is not None and last.is_word and token.is_word:
            phrase = f"{last.text} {token.text}"
            joined[-1] = _Token(_Kind.ITEM, phrase, last.position, Contains(phrase), is_word=True)
        else:
            joined.append(token)
    return joined


@dataclass(slots=True)
class _Parser:
    tokens: list[_Token]
    index: int = 0
    depth: int = field(default=0)

    def either(self) -> Expression:
        parts = [self._both()]
        while self._take(_Kind.OR):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def expect_end(self) -> None:
        token = self.tokens[self.index]
        if token.kind is not _Kind.END:
            raise _error(token, "AND or OR is missing before", "join the parts with AND or OR, in capitals")

    def _both(self) -> Expression:
        parts = [self._negated()]
        while self._take(_Kind.AND):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _negated(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(self.tokens[self.index], f"nested more than {MAX_DEPTH} deep", "make it flatter")
        expression = Not(self._negated()) if self._take(_Kind.NOT) else self._item()
        self.depth -= 1
        return expression

    def _item(self) -> Expression:
        token = self.tokens[self.index]
        if self._take(_Kind.OPEN):
            expression = self.either()
            if not self._take(_Kind.CLOSE):
                raise _error(self.tokens[self.index], "a parenthesis is not closed", "write the missing )")
            return expression
        if token.expression is None:
            raise _error(
                token, "a word, phrase, /regex/ or field:value is missing", "write it, or remove the operator"
            )
        self.index += 1
        return token.expression

    def _take(self, kind: _Kind) -> bool:
        if self.tokens[self.index].kind is not kind:
            return False
        self.index += 1
        return True
