"""What somebody looks for in the console: in the incidents, and in the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: Rows of one page: what fits a screen or two.
PAGE = 50


@dataclass(frozen=True, slots=True)
class IncidentsAsked:
    """Which incidents, newest first; what is empty asks nothing. `after`: the last one of the page before."""

    text: str = ""
    status: str = ""
    runbook: str = ""
    after: str = ""
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class AuditAsked:
    """Which entries of the audit log, newest first; `before` is the last number of the page before."""

    text: str = ""
    kind: str = ""
    actor: str = ""
    incident: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int = 0
    limit: int = PAGE
