"""The kill switch: a human's word that the agent starts nothing, all of it or one service's or runbook's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Starts the id of every stop: its own story stands in the timeline under it, as an incident's does.
STOP_PREFIX = "stop-"


#: Starts the id of what lies among the stops that were put aside and is none: it is removed by hand.
FOREIGN_PREFIX = f"{STOP_PREFIX}file-"


class StopScope(StrEnum):
    """What a stop is about."""

    ALL = "all"
    SERVICE = "service"
    RUNBOOK = "runbook"


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A stop before it is in force. `name`: a service, or a runbook's id or path; "" where all is meant."""

    scope: StopScope
    name: str
    reason: str
    by: str
    ends_running: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop as it was put, and whether it has been lifted since.

    `ends_running`: what runs is ended too; else the running attempt is let finish and no other starts.
    """

    id: str
    scope: StopScope
    name: str
    reason: str
    by: str
    at: datetime
    ends_running: bool = False
    lifted_at: datetime | None = None
    lifted_by: str = ""

    @property
    def is_in_force(self) -> bool:
        """Whether nobody has lifted it."""
        return self.lifted_at is None

    @property
    def is_foreign(self) -> bool:
        """Whether it is a file that nobody understands: it stops everything for as long as it lies there."""
        return self.id.startswith(FOREIGN_PREFIX)

    @property
    def what(self) -> str:
        """`everything`, `service payments`, `runbook redis-timeout`."""
        return what_of(self.scope, self.name)

    def __str__(self) -> str:
        about = "" if self.scope is StopScope.ALL else f" for {self.what}"
        return f"stopped{about} by {self.by}: {self.reason}"


def what_of(scope: StopScope, name: str) -> str:
    """What a stop is about, in words."""
    return "everything" if scope is StopScope.ALL else f"{scope} {name}"


#: Longer than this is no reason but a report.
WORDS_LIMIT = 1_000


def words(text: str) -> str:
    """What a human typed as one line that every store and every thread takes."""
    whole = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    return " ".join(whole.split())[:WORDS_LIMIT]
