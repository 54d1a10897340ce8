"""What the pages show of the store's rows, as values with names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.domain.records import CHOICE


@dataclass(frozen=True, slots=True)
class Counts:
    """How many escalations are open, and how many of them are over their time."""

    open: int
    breached: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question to a human that is open."""

    incident_id: str
    title: str
    waits_for: str
    reason: str
    severity: str
    decides: str
    until: datetime | None

    @property
    def is_choice(self) -> bool:
        """Whether a runbook is to be chosen; else a plan is to be approved."""
        return self.decides == CHOICE

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Waiting:
        """A row of `Store.waiting`."""
        return cls(
            row["incident_id"],
            row["title"],
            row["waits_for"],
            row["reason"],
            row["severity"] or "",
            row["decides"] or "",
            datetime.fromisoformat(row["until"]) if row["until"] else None,
        )
