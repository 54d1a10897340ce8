"""What `doctor` found: one thing that it looked at, what it saw, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a check went; only `bad` makes the command fail."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, what was seen, and what to do."""

    name: str
    grade: Grade
    seen: str
    fix: str = ""
