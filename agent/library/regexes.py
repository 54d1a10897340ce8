"""Regular expressions on untrusted text: RE2, so that no pattern and no text can make it hang."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, cast

import re2

from agent.library.problems import NotUnderstoodError

MAX_PATTERN_CHARS = 1_000
#: A compiled pattern may take this much memory; RE2's own default is eight times as much.
MAX_PATTERN_MEMORY = 1 << 20


class _Found(Protocol):
    def group(self, index: int = 0, /) -> str | None: ...


class _Pattern(Protocol):
    groups: int

    def search(self, text: str, /) -> _Found | None: ...
    def fullmatch(self, text: str, /) -> _Found | None: ...


def check(pattern: str) -> str:
    """Give the pattern back if it can be used, else say why not."""
    if not pattern:
        raise NotUnderstoodError(
            "the regular expression is empty", "write what to look for between the slashes"
        )
    if len(pattern) > MAX_PATTERN_CHARS:
        raise NotUnderstoodError(
            f"the regular expression is longer than {MAX_PATTERN_CHARS} characters", "make it shorter"
        )
    try:
        _compiled(pattern)
    except (re2.error, UnicodeEncodeError) as error:
        raise NotUnderstoodError(
            f"the regular expression /{pattern}/ is not valid: {_words(error)}",
            "use RE2 syntax: no look-around and no back-references",
        ) from error
    return pattern


def is_found(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether the pattern occurs anywhere in the text."""
    return _compiled(pattern, ignore_case).search(_encodable(text)) is not None


def is_whole(pattern: str, text: str) -> bool:
    """Whether the pattern matches the text from its first to its last character."""
    return _compiled(pattern).fullmatch(_encodable(text)) is not None


def first_group(pattern: str, text: str, *, ignore_case: bool = False) -> str | None:
    """The text of the first group, or of the whole match when the pattern has no group."""
    compiled = _compiled(pattern, ignore_case)
    found = compiled.search(_encodable(text))
    if found is None:
        return None
    return found.group(1) if compiled.groups else found.group(0)


def is_glob(glob: str, text: str) -> bool:
    """Whether the text equals the glob in any case; `*` is any text, `?` any one character."""
    return _glob(glob).fullmatch(_encodable(text)) is not None


@lru_cache(maxsize=2_000)
def _compiled(pattern: str, ignore_case: bool = False) -> _Pattern:
    return _compile(pattern, ignore_case=ignore_case, dot_is_any=False)


@lru_cache(maxsize=2_000)
def _glob(glob: str) -> _Pattern:
    parts = {"*": ".*", "?": "."}
    pattern = "".join(parts.get(character) or re2.escape(character) for character in _encodable(glob))
    return _compile(pattern, ignore_case=True, dot_is_any=True)


def _compile(pattern: str, *, ignore_case: bool, dot_is_any: bool) -> _Pattern:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.dot_nl = dot_is_any
    options.max_mem = MAX_PATTERN_MEMORY
    return cast(_Pattern, re2.compile(pattern, options))


def _encodable(text: str) -> str:
    """RE2 works on UTF-8, and JSON can carry half of a surrogate pair, which has none."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _words(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(error)
