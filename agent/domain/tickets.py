"""A ticket in the tracker: what it is about, where it stands there, and how it is known again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TicketState(StrEnum):
    """`begun`: asked for, and not yet known to stand there."""

    BEGUN = "begun"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TicketRef:
    """A ticket as the tracker names it: `id` stays when it is moved to another project, `name` does not."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """What we know of one ticket. `story` is whose timeline tells of it.

    `tried_at` is when it was last asked for and nobody knows what came of it: None without such a doubt.
    """

    key: str
    story: str
    mark: str
    state: TicketState
    ref: TicketRef | None = None
    tried_at: datetime | None = None
    closed_by: str = ""


_MARK = "oncall-"
_DIGITS = 20


def mark_of(key: str) -> str:
    """The label that a ticket carries, so that it is found again: legal everywhere, one for each key."""
    return _MARK + hashlib.sha256(key.encode()).hexdigest()[:_DIGITS]


def escalation_ticket(item_id: str) -> str:
    """The key of the one ticket of an escalation in the queue, ours or Keeptrusts'."""
    return f"escalation-{item_id}"


@dataclass(frozen=True, slots=True)
class TicketChange:
    """What the tracker says of a ticket that somebody changed.

    `id` is the delivery's own, the same each time it is sent. `is_moved`: its status or resolution changed.
    `category` is the tracker's own word for where a status stands; `done` is the end.
    """

    id: str
    ref: TicketRef
    labels: tuple[str, ...] = ()
    status: str = ""
    category: str = ""
    resolution: str = ""
    by: str = ""
    email: str = ""
    is_moved: bool = False
