"""What a name may be made of that stands behind a colon elsewhere: `hook:NAME`, `handoff:NAME`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def checked_name(text: str) -> str:
    """The name, if it is one."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name; use letters, digits, - _ . (up to 63)")
    return text


def named(sections: Mapping[str, T]) -> Mapping[str, T]:
    """The sections, if each has a name that can be written behind a colon."""
    for each in sections:
        checked_name(each)
    return sections
