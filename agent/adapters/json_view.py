"""Reads JSON that others wrote: what is absent, null or of another type reads as nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DEEPEST = 6

#: What JSON's objects are read as comes first: to ask whether it is any mapping takes ten times as long.
_OBJECT = (dict, Mapping)


def clean(text: str) -> str:
    """Text that every store and every vendor takes: without NUL and without half characters."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def child(value: object, *path: str) -> object:
    """What is at the path, or None."""
    for key in path:
        if value is None or not isinstance(value, _OBJECT):
            return None
        value = value.get(key)
    return value


def text_at(value: object, *path: str) -> str:
    """The trimmed text at the path, or ""."""
    found = child(value, *path)
    return clean(found).strip() if isinstance(found, str) else ""


def items_at(value: object, *path: str) -> Sequence[object]:
    """The list at the path, or an empty one."""
    found = child(value, *path)
    return found if isinstance(found, list) else ()


def scalar(value: object) -> str:
    """A single value as a person would write it, or "" if it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return clean(value).strip()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**40 else ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}" if value != int(value) or abs(value) >= 1e15 else str(int(value))
    return ""


def flattened(value: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(dotted name, text) of everything inside that says something; lists of values are joined by commas."""
    if isinstance(value, Mapping):
        if depth < _DEEPEST:
            for key, each in value.items():
                name = clean(str(key)).strip()
                yield from flattened(each, f"{prefix}.{name}" if prefix else name, depth + 1)
        return
    text = ", ".join(filter(None, map(scalar, value))) if isinstance(value, list) else scalar(value)
    if prefix and text:
        yield prefix, text
