"""A tracker in memory, held to the same contract as the real adapter: for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.domain.errors import ServiceError
from agent.domain.outbox import OpenTicket
from agent.domain.tickets import TicketRef
from agent.ports.tracker import NOT_OPENED, Opened


@dataclass(slots=True)
class FakeTicket:
    """One ticket as it stands there."""

    ref: TicketRef
    ticket: OpenTicket
    mark: str
    comments: list[str] = field(default_factory=list)
    resolution: str = ""
    is_closed: bool = False
    is_found: bool = True


class FakeTracker:
    """A Tracker; `fail_with` makes the next calls fail, `hides_new` lets search lag behind."""

    def __init__(self) -> None:
        self.tickets: list[FakeTicket] = []
        self.hides_new = False
        self._failures: list[ServiceError] = []

    def fail_with(self, *errors: ServiceError) -> None:
        """The next calls fail with these, one each; a doubtful one fails after the ticket is made."""
        self._failures.extend(errors)

    def catch_up(self) -> None:
        """Search finds everything from now on."""
        self.hides_new = False
        for each in self.tickets:
            each.is_found = True

    def open(self, ticket: OpenTicket, *, mark: str) -> Opened:
        """Make a ticket."""
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None and failure.reason in NOT_OPENED:
            raise failure
        number = len(self.tickets) + 1
        ref = TicketRef(str(10_000 + number), f"{ticket.project}-{number}")
        self.tickets.append(FakeTicket(ref, ticket, mark, is_found=not self.hides_new))
        if failure is not None:
            raise failure
        return Opened(ref)

    def find(self, mark: str, *, project: str) -> Sequence[TicketRef]:
        """Those of a project that carry the mark, and that search knows already."""
        self._maybe_fail()
        there = [each for each in self.tickets if each.ticket.project == project and each.is_found]
        return [each.ref for each in there if each.mark == mark]

    def comment(self, ref: TicketRef, text: str, *, again: bool = False) -> None:
        """Say more."""
        self._maybe_fail()
        comments = self.ticket(ref).comments
        if text.strip() and not (again and text in comments):
            comments.append(text)

    def close(self, ref: TicketRef, resolution: str, text: str, *, again: bool = False) -> bool:
        """Bring it to its end."""
        self._maybe_fail()
        ticket = self.ticket(ref)
        if ticket.is_closed:
            return False
        if text.strip() and not (again and text in ticket.comments):
            ticket.comments.append(text)
        ticket.is_closed, ticket.resolution = True, resolution
        return True

    def link(self, ref: TicketRef) -> str:
        """Nobody looks there."""
        return f"https://tracker.example.com/browse/{ref.name}"

    def ticket(self, ref: TicketRef) -> FakeTicket:
        """How one stands."""
        return next(each for each in self.tickets if each.ref.id == ref.id)

    def _maybe_fail(self) -> None:
        if self._failures:
            raise self._failures.pop(0)
