"""Where people's work is kept as tickets: Jira."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.domain.errors import Reason
from agent.domain.incident import Entry
from agent.domain.outbox import Message, OpenTicket
from agent.domain.tickets import Ticket, TicketRef

#: After these a ticket was surely not opened; after any other failure it may have been.
NOT_OPENED = frozenset(
    {Reason.UNREACHABLE, Reason.RATE_LIMITED, Reason.AUTH, Reason.NOT_FOUND, Reason.REJECTED}
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket that stands there; `left_out` is what the tracker did not take of it, in words."""

    ref: TicketRef
    left_out: tuple[str, ...] = ()


class Tracker(Protocol):
    """One try a call; raises ServiceError. Of `open`, a failure that is not in NOT_OPENED leaves a doubt."""

    def open(self, ticket: OpenTicket, *, mark: str) -> Opened:
        """Make a ticket that carries the mark; asked twice there are two."""
        ...

    def find(self, mark: str, *, project: str) -> Sequence[TicketRef]:
        """Those of a project that carry the mark, oldest first; one just opened may not be among them."""
        ...

    def comment(self, ref: TicketRef, text: str, *, again: bool = False) -> None:
        """Say more. `again`: it may have been said already, and is then not said twice."""
        ...

    def close(self, ref: TicketRef, resolution: str, text: str, *, again: bool = False) -> bool:
        """Bring it to its end and say why; False, and nothing is done, if it has ended already."""
        ...

    def link(self, ref: TicketRef) -> str:
        """Where people look at it."""
        ...


class TicketStore(Protocol):
    """Which tickets were asked for, and what is known of them."""

    def ticket(self, key: str) -> Ticket | None:
        """The ticket of this key, if one was ever asked for."""
        ...

    def ticket_there(self, ref_id: str, marks: Sequence[str] = ()) -> Ticket | None:
        """The one that the tracker knows by this id, or one that carries a mark and has no id yet."""
        ...

    def tickets_of(self, story: str) -> Sequence[Ticket]:
        """Those that this story tells of, oldest first."""
        ...

    def tickets_may_be_forgotten(self) -> bool:
        """Whether the database was restored once: tickets may stand there that it does not know."""
        ...

    def ticket_begun(self, key: str, story: str) -> Ticket:
        """Written down before it is asked for; until its end is known there is a doubt."""
        ...

    def ticket_not_opened(self, key: str) -> None:
        """It surely was not: the next try needs no look first."""
        ...

    def ticket_opened(self, key: str, ref: TicketRef, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """It stands there, told in the same transaction; False if that was known before."""
        ...

    def ticket_closed(self, key: str, by: str, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """It has ended, told in the same transaction; False if that was known before."""
        ...

    def ticket_reopened(self, key: str, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """Somebody opened it again, told in the same transaction; False if it was open."""
        ...
