"""What a human does in the tracker is done here too: a ticket that ends settles its escalation.

It is asked of what stands here, not of what was heard before: heard again, late, out of order, or as the
echo of our own hand, a webhook finds its escalation settled and its ticket closed, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from agent.config.jira import Jira
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatCard, ChatLine, CommentTicket, Message
from agent.domain.people import Actor, Person, Via
from agent.domain.queue import Escalated
from agent.domain.tickets import Ticket, TicketChange, TicketState, escalation_ticket
from agent.escalations.claims import NotPossible
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling, redacted_entry
from agent.pipeline.telling import has_no_thread
from agent.ports.tracker import TicketStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TicketDesk:
    """What hearing of tickets needs."""

    jira: Jira
    tickets: TicketStore
    queue: QueueDesk


def heard(desk: TicketDesk, change: TicketChange, *, now: datetime) -> str:
    """Do what follows from a change; gives what became of it, in words for the answer and the log."""
    ticket = desk.tickets.ticket_there(change.ref.id, change.labels)
    if ticket is None:
        return "unknown ticket"
    if ticket.ref is None:
        _found(desk, ticket, change)
    if not change.is_moved:
        return "nothing to do"
    if not desk.jira.is_done(change.status, change.category):
        return _reopened(desk, ticket, change)
    return _ended(desk, ticket, change, now)


def _found(desk: TicketDesk, ticket: Ticket, change: TicketChange) -> None:
    """Asked for, its answer lost, and here it is: by the mark that it carries."""
    text = f"🎫 The ticket {change.ref.name} is open: it was found by what Jira tells of it"
    entry = Entry(f"ticket-opened-{ticket.key}", EventKind.NOTE, text, {"ticket": change.ref.name})
    entry = redacted_entry(desk.queue, entry)
    desk.tickets.ticket_opened(ticket.key, change.ref, entry, _shown(desk, ticket, entry))


def _ended(desk: TicketDesk, ticket: Ticket, change: TicketChange, now: datetime) -> str:
    item = desk.queue.store.queue_item(ticket.story)
    is_its_own = item is not None and ticket.key == escalation_ticket(item.id)
    outcome, refused = "known", ""
    if item is not None and is_its_own and not item.status.is_over:
        refused = _settle(desk, item, change, now)
        outcome = "refused" if refused else "settled"
    return _closed(desk, ticket, change, refused) or outcome


def _settle(desk: TicketDesk, item: Escalated, change: TicketChange, now: datetime) -> str:
    """Settle the escalation in the name of whoever closed the ticket; why not, in words, or ""."""
    answer = desk.jira.answer(change.resolution, change.status)
    settling = Settling(answer.of(item.origin), f"Resolved via Jira {change.ref.name}")
    done = queueing.resolve(desk.queue, item.id, _actor(desk, change), settling, now=now, over_claims=True)
    if isinstance(done, NotPossible):
        after = desk.queue.store.queue_item(item.id)
        return "" if after is not None and after.status.is_over else done.why
    return ""


def _closed(desk: TicketDesk, ticket: Ticket, change: TicketChange, refused: str) -> str:
    """Remember and tell it; gives the outcome if it was closed already, else ""."""
    who = change.by or "somebody"
    how = f"{change.status}, {change.resolution}" if change.resolution else change.status
    but = f"; the escalation still waits: {refused}" if refused else ""
    text = f"🎫 {who} closed the ticket {change.ref.name} in Jira ({how}){but}"
    data = {"ticket": change.ref.name, "status": change.status, "resolution": change.resolution, "by": who}
    entry = Entry(f"ticket-heard-{change.id}", EventKind.NOTE, text, data, f"{who} (by {Via.JIRA})")
    entry = redacted_entry(desk.queue, entry)
    messages = _shown(desk, ticket, entry)
    if refused:
        messages.append(CommentTicket(ticket.key, f"The escalation still waits in the queue: {refused}"))
        log.warning("ticket_settles_nothing", ticket=change.ref.name, why=refused)
    was_open = desk.tickets.ticket_closed(ticket.key, who, entry, messages)
    return "" if was_open or not refused else "known"


def _reopened(desk: TicketDesk, ticket: Ticket, change: TicketChange) -> str:
    """Told, and no more: an escalation that is settled stays so."""
    if ticket.state is not TicketState.CLOSED:
        return "nothing to do"
    who = change.by or "somebody"
    text = f"🎫 {who} opened the ticket {change.ref.name} again in Jira; its escalation stays settled"
    entry = Entry(f"ticket-heard-{change.id}", EventKind.NOTE, text, {"ticket": change.ref.name}, f"{who}")
    entry = redacted_entry(desk.queue, entry)
    desk.tickets.ticket_reopened(ticket.key, entry, _shown(desk, ticket, entry))
    return "reopened"


def _actor(desk: TicketDesk, change: TicketChange) -> Actor:
    """Somebody of `people` by their address, with their own role; of others Jira says whether they may."""
    known = desk.queue.queueing.person(change.email) if change.email else None
    if known is not None:
        return Actor(known, Via.JIRA)
    name = f"Jira user {change.by or 'unknown'}"
    return Actor(Person(name, desk.jira.role), Via.JIRA, is_shown=False)


def _shown(desk: TicketDesk, ticket: Ticket, entry: Entry) -> list[Message]:
    if Channel.CHAT not in desk.queue.queueing.channels or has_no_thread(ticket.story):
        return []
    return [ChatLine(entry.text), ChatCard()]
