"""Small values on one line: quoted texts, /patterns/, durations, numbers, yes and no, lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from agent.library import regexes
from agent.library.problems import NotUnderstoodError

QUOTES = {'"': '"', "'": "'", "“": "”"}
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "/": "/"}
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}) ?(ms|s|m|h)", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,9}")
MAX_ITEMS = 100


def literal_end(text: str, start: int) -> int | None:
    """Where the quoted text or /pattern/ that starts here ends (the position after it), if it does."""
    mark = text[start]
    closing = QUOTES.get(mark, mark)
    position = start + 1
    while position < len(text):
        if text[position] == "\\" and mark in '"/':
            position += 2
            continue
        if text[position] == closing:
            return position + 1
        position += 1
    return None


def read_quoted(text: str, start: int) -> tuple[str, int]:
    """The quoted text that starts here, without its quotes, and the position after it."""
    end = literal_end(text, start)
    if end is None:
        raise NotUnderstoodError(
            f"the quote that starts at {text[start:][:30]} never ends", "close the quote"
        )
    inner = text[start + 1 : end - 1]
    return (_unescaped(inner) if text[start] == '"' else inner), end


def _unescaped(inner: str) -> str:
    if "\\" not in inner:
        return inner
    return "".join(_unescaped_parts(inner))


def _unescaped_parts(inner: str) -> Iterator[str]:
    characters = iter(inner)
    for character in characters:
        if character != "\\":
            yield character
            continue
        escaped = next(characters)
        if escaped not in _ESCAPES:
            raise NotUnderstoodError(
                f"\\{escaped} in a quoted text has no meaning", 'use \\", \\\\, \\n or \\t, or single quotes'
            )
        yield _ESCAPES[escaped]


def read_pattern(text: str, start: int) -> tuple[str, int]:
    """The /pattern/ that starts here, checked, and the position after it."""
    end = literal_end(text, start)
    if end is None:
        raise NotUnderstoodError(
            f"the pattern that starts at {text[start:][:30]} never ends",
            "close it with / and write \\/ for a slash",
        )
    if end < len(text) and text[end].isalnum():
        raise NotUnderstoodError(
            f"letters after the pattern: {text[start : end + 1][-30:]}",
            "write flags inside, as in /(?i)text/",
        )
    return regexes.check(text[start + 1 : end - 1].replace("\\/", "/")), end


def pattern_only(text: str) -> str:
    """A text that is one /pattern/ and nothing else."""
    if not text.startswith("/"):
        raise NotUnderstoodError(f"a pattern is needed, found: {shown(text)}", "write it as /…/")
    pattern, end = read_pattern(text, 0)
    if text[end:].strip():
        raise NotUnderstoodError(f"unexpected text after the pattern: {shown(text[end:])}", "remove it")
    return pattern


def word_or_quoted(text: str) -> str:
    """A text that is one quoted text, or is not quoted at all."""
    if not text or text[0] not in QUOTES:
        return text
    value, end = read_quoted(text, 0)
    if text[end:].strip():
        raise NotUnderstoodError(f"unexpected text after the quote: {shown(text[end:])}", "remove it")
    return value


COMMA = re.compile(",")
SEMICOLON = re.compile(";")
COMMA_OR = re.compile(r",(?: *or )?| or ", re.IGNORECASE)


def split_outside_quotes(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split at the separators that stand outside quotes; parts are trimmed."""
    parts: list[str] = []
    begin = 0
    while (found := next_separator(text, begin, separator, patterns=False)) is not None:
        parts.append(text[begin : found.start()].strip())
        begin = found.end()
    return [*parts, text[begin:].strip()]


def next_separator(
    text: str, start: int, separator: re.Pattern[str], *, patterns: bool
) -> re.Match[str] | None:
    """The next separator outside quotes and, if there can be `patterns`, outside /patterns/."""
    position = start
    while position < len(text):
        if opens_literal(text, position) and (patterns or text[position] != "/"):
            position = literal_end(text, position) or len(text)
        elif found := separator.match(text, position):
            return found
        else:
            position = _next_place(text, position + 1, separator)
    return None


def _next_place(text: str, start: int, separator: re.Pattern[str]) -> int:
    """Where the next separator or quoted text could begin: nothing before it needs a look."""
    found = _places(separator).search(text, start)
    return found.start() if found is not None else len(text)


@lru_cache(maxsize=16)
def _places(separator: re.Pattern[str]) -> re.Pattern[str]:
    marks = "".join(map(re.escape, (*QUOTES, "/")))
    return re.compile(rf"{separator.pattern}|[{marks}]", separator.flags)


def opens_literal(text: str, position: int) -> bool:
    """Whether a quote or /pattern/ begins here: at the start of a word, unlike in `can't` and `a/b`."""
    if text[position] not in QUOTES and text[position] != "/":
        return False
    return position == 0 or text[position - 1] in " \t,;(:=<>"


def listed(text: str) -> list[str]:
    """A comma list of words or quoted texts, none empty."""
    items = [word_or_quoted(part) for part in split_outside_quotes(text, COMMA)]
    if not all(items):
        raise NotUnderstoodError(
            f"an empty place in the list: {shown(text)}", "remove the comma that is too many"
        )
    if len(items) > MAX_ITEMS:
        raise NotUnderstoodError(f"more than {MAX_ITEMS} items in one list", "make the list shorter")
    return items


def duration_s(text: str) -> float:
    """`500ms`, `60s`, `10m` or `1h`, in seconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise NotUnderstoodError(
            f"{shown(text)} is not a duration", "write a number and a unit: 500ms, 60s, 10m, 1h"
        )
    return int(found[1]) * _UNITS_S[found[2].lower()]


def whole_number(text: str) -> int:
    """A whole number from 0 up, in plain digits."""
    if _WHOLE.fullmatch(text) is None:
        raise NotUnderstoodError(
            f"{shown(text)} is not a whole number from 0 up", "write digits only, such as 0 or 3"
        )
    return int(text)


def yes_or_no(text: str) -> bool:
    """`true`, `yes`, `false` or `no` in any case."""
    answers = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() not in answers:
        raise NotUnderstoodError(f"{shown(text)} is neither yes nor no", "write true or false")
    return answers[text.lower()]


def shown(text: str, *, limit: int = 60) -> str:
    """The text as it can stand in a message: one line, short, visible, in “quotes”."""
    visible = "".join(
        character if character.isprintable() else "·" for character in text[: limit + 1].strip()
    )
    return f"“{visible[:limit]}…”" if len(text) > limit else f"“{visible}”"
