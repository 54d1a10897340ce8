"""JSON with one meaning: a key that stands twice has two, and readers differ in which one counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NoReturn


def strictly_read(text: str | bytes) -> object:
    """What it says; ValueError in words, or RecursionError, if it is no JSON, holds NaN or a key twice."""
    value: object = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_each_key_once)
    return value


def _no_constant(name: str) -> NoReturn:
    """NaN and Infinity are Python's own addition to JSON."""
    raise ValueError(f"{name} is no JSON")


def _each_key_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
