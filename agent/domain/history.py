"""What a team was paged for in the past, to ask it again of today's runbooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.domain.alert import Alert


@dataclass(frozen=True, slots=True)
class PastAlert:
    """One page of the past.

    `runbook` is what a human says should have answered it: an id or a path, "" for none, None if nobody said.
    """

    id: str
    alert: Alert
    at: datetime | None = None
    runbook: str | None = None
