"""Paths into JSON output, as in jq: `.redis`, `.items[0].ready`, `."a b".c`."""

from __future__ import annotations

import json
import re
from typing import TypeGuard

from agent.library.problems import NotUnderstoodError
from agent.library.values import read_quoted, shown

Path = tuple[str | int, ...]
MAX_PARTS = 30
_NAME = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*)")
_INDEX = re.compile(r"\.?\[([0-9]{1,6})\]")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def read(text: str, start: int) -> tuple[Path, int]:
    """The path that starts here and the position after it; `.` alone is the whole document."""
    parts: list[str | int] = []
    position = start
    while position < len(text) and text[position] in ".[" and len(parts) <= MAX_PARTS:
        if text.startswith(('."', '["'), position):
            part, position = _read_quoted_part(text, position)
            parts.append(part)
        elif index := _INDEX.match(text, position):
            parts.append(int(index[1]))
            position = index.end()
        elif text[position] == "." and (name := _NAME.match(text, position)):
            parts.append(name[1])
            position = name.end()
        elif not parts and text[position : position + 2].strip() == ".":
            return (), position + 1
        else:
            break
    if position == start or len(parts) > MAX_PARTS or text[position : position + 1] not in ("", " ", *"<>=!"):
        raise NotUnderstoodError(
            f"{shown(text[start:])} does not begin with a JSON path",
            'write .name, .items[0].name or ."a name"',
        )
    return tuple(parts), position


def _read_quoted_part(text: str, position: int) -> tuple[str, int]:
    part, end = read_quoted(text, position + 1)
    if text[position] == ".":
        return part, end
    if not text.startswith("]", end):
        raise NotUnderstoodError(f"{shown(text[position:])} lacks its ]", 'write ["name"]')
    return part, end + 1


def whole(text: str) -> Path:
    """A text that is one path and nothing else."""
    path, end = read(text, 0)
    if text[end:].strip():
        raise NotUnderstoodError(
            f"unexpected {shown(text[end:])} after the JSON path", "write .name or .items[0].name"
        )
    return path


def written(path: Path) -> str:
    """A path as an author writes it."""
    return "".join(map(_written_part, path)) or "."


def _written_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _PLAIN.fullmatch(part) else f".{json.dumps(part)}"


def value_at(output: str, path: Path) -> object:
    """The value at the path; NotUnderstoodError if the output is not JSON or has no such place."""
    try:
        value: object = json.loads(output, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError("the output is not JSON") from error
    for depth, part in enumerate(path, start=1):
        value = _inside(value, part)
        if value is _NOTHING:
            raise NotUnderstoodError(f"the output has nothing at {written(path[:depth])}")
    return value


_NOTHING = object()


def _inside(value: object, part: str | int) -> object:
    if isinstance(part, str):
        return value.get(part, _NOTHING) if isinstance(value, dict) else _NOTHING
    return value[part] if isinstance(value, list) and part < len(value) else _NOTHING


def _no_constant(name: str) -> object:
    """NaN and Infinity are Python's own addition to JSON."""
    raise ValueError(name)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_text(value: object) -> str:
    """A value as jq -r shows it."""
    return value if isinstance(value, str) else json.dumps(value)
