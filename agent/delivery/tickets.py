"""Opens, comments and closes tickets in the tracker: one for each key, whatever is sent again or dies.

The intent is written down before a ticket is asked for. Where nobody knows what came of it (a crash, an
answer that was lost), it is looked for once the tracker's search has had time to catch up, and only then
asked for again. What can still go wrong: a search that lags longer than that finds nothing, and there are
two; they carry the same label.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import structlog

from agent.delivery.instead import tell_or_page
from agent.delivery.sending import Backoff, OneByOne
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import (
    Channel,
    ChatCard,
    ChatLine,
    CloseTicket,
    CommentTicket,
    Letter,
    Message,
    OpenTicket,
)
from agent.domain.tickets import Ticket, TicketRef, TicketState, mark_of
from agent.pipeline.context import Context
from agent.pipeline.telling import has_no_thread, redacted, tell
from agent.ports import OutboxStore
from agent.ports.tracker import NOT_OPENED, TicketStore, Tracker

log = structlog.get_logger()

#: Who closed it, where the row says that we did.
AGENT = "agent"


class TicketSender(OneByOne):
    """Implements Sender for the tracker (Jira). `search_lag_s`: so long a new ticket may not be found."""

    channel = Channel.TICKET

    def __init__(
        self,
        context: Context,
        outbox: OutboxStore,
        tracker: Tracker,
        tickets: TicketStore,
        *,
        search_lag_s: float,
    ) -> None:
        super().__init__(outbox)
        self._context = context
        self._tracker = tracker
        self._tickets = tickets
        self._lag = timedelta(seconds=search_lag_s)
        self._backoff = Backoff()

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case OpenTicket() as asked:
                self._open(letter, asked)
            case CommentTicket(key, text):
                ref = self._ref(key)
                if ref is not None:
                    self._tracker.comment(ref, text, again=letter.tries > 0)
            case CloseTicket() as over:
                self._close(letter, over)
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no message for the tracker")

    def _open(self, letter: Letter, asked: OpenTicket) -> None:
        known = self._tickets.ticket(asked.key)
        if known is not None and known.ref is not None:
            return
        found = self._looked_up(letter, asked, known)
        if found:
            self._tickets.ticket_begun(asked.key, letter.incident_id)
            others = ", ".join(each.name for each in found[1:])
            twice = f" ({others} is the same: close it)" if others else ""
            self._stands(letter, asked, found[0], f"found again{twice}")
            return
        ticket = self._tickets.ticket_begun(asked.key, letter.incident_id)
        try:
            opened = self._tracker.open(asked, mark=ticket.mark)
        except ServiceError as error:
            if error.reason in NOT_OPENED:
                self._tickets.ticket_not_opened(asked.key)
            raise
        self._stands(letter, asked, opened.ref, "open", opened.left_out)

    def _looked_up(self, letter: Letter, asked: OpenTicket, known: Ticket | None) -> Sequence[TicketRef]:
        """What may stand there since an earlier try, oldest first; waits until search must know it."""
        if known is None:  # tried, and not written down: the database was restored to before that
            is_doubtful = letter.tries or self._tickets.tickets_may_be_forgotten()
            return self._found(asked, mark_of(asked.key)) if is_doubtful else ()
        if known.tried_at is None:
            return ()
        left_s = (known.tried_at + self._lag - self._context.clock.now()).total_seconds()
        if 0 < left_s <= self._lag.total_seconds():
            raise _StillInDoubtError(left_s)
        return self._found(asked, known.mark)

    def _found(self, asked: OpenTicket, mark: str) -> Sequence[TicketRef]:
        return self._tracker.find(mark, project=asked.project)

    def _stands(
        self,
        letter: Letter,
        asked: OpenTicket,
        ref: TicketRef,
        how: str,
        left_out: Sequence[str] = (),
    ) -> None:
        lacks = f"; without {', '.join(left_out)}, which the tracker did not take" if left_out else ""
        text = f"🎫 The ticket {ref.name} is {how}: {asked.summary}{lacks}"
        data = {"ticket": ref.name, "url": self._tracker.link(ref), "key": asked.key}
        entry = redacted(self._context, Entry(f"ticket-opened-{asked.key}", EventKind.NOTE, text, data))
        self._tickets.ticket_opened(asked.key, ref, entry, self._shown(letter.incident_id, entry))

    def _close(self, letter: Letter, over: CloseTicket) -> None:
        ticket = self._tickets.ticket(over.key)
        if ticket is None or ticket.ref is None or ticket.state is TicketState.CLOSED:
            return
        was_open = self._tracker.close(ticket.ref, over.resolution, over.text, again=letter.tries > 0)
        how = "is closed" if was_open else "had been closed already"
        entry = Entry(f"ticket-closed-{letter.id}", EventKind.NOTE, f"🎫 The ticket {ticket.ref.name} {how}")
        self._tickets.ticket_closed(over.key, AGENT, entry, self._shown(letter.incident_id, entry))

    def _ref(self, key: str) -> TicketRef | None:
        ticket = self._tickets.ticket(key)
        return None if ticket is None else ticket.ref

    def _sent(self, _: Letter) -> None:
        self._backoff.succeeded()

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        words = self._context.redactor.text(str(error))
        is_gone = error.reason is Reason.NOT_FOUND and not isinstance(letter.message, OpenTicket)
        if is_gone or (error.reason is Reason.REJECTED and not error.retryable):
            self._give_up(letter, words)
            return 0.0
        if isinstance(error, _StillInDoubtError):
            self._outbox.postpone([letter.id], delay_s=error.retry_after_s or 1.0, error=words)
            return 0.0
        delay_s = self._backoff.failed(error)
        log.warning("tracker_down", reason=error.reason.value, error=words, again_in_s=round(delay_s, 1))
        self._outbox.postpone([letter.id], delay_s=delay_s, error=words)
        if not error.retryable:
            text = f"⚠️ The tracker does not take our ticket: {words}. It is tried again until it does"
            self._tell(letter, "ticket-waits", text)
        return delay_s

    def _give_up(self, letter: Letter, words: str) -> None:
        kind = type(letter.message).__name__
        log.error("ticket_rejected", incident_id=letter.incident_id, message=kind, error=words)
        why = f"A ticket could not be {_WORDS.get(kind, kind)}: {words}"
        entry = Entry(f"ticket-refused-{letter.id}", EventKind.NOTE, f"⚠️ {why}")
        tell_or_page(self._context, letter, entry, why)
        # last: whoever dies before it asks once more, and tells nothing twice
        self._outbox.undeliverable([letter.id], error=words)

    def _tell(self, letter: Letter, key: str, text: str) -> None:
        tell(self._context, letter.incident_id, Entry(f"{key}-{letter.id}", EventKind.NOTE, text))

    def _shown(self, story: str, entry: Entry) -> list[Message]:
        """With its line for the incident's thread, where there is one."""
        if Channel.CHAT not in self._context.channels or has_no_thread(story):
            return []
        return [ChatLine(entry.text), ChatCard()]


_WORDS = {"OpenTicket": "opened", "CommentTicket": "commented", "CloseTicket": "closed"}


class _StillInDoubtError(ServiceError):
    """It may stand there, and search need not know it yet."""

    def __init__(self, left_s: float) -> None:
        words = f"whether the ticket was opened is not known; it is looked for in {left_s:.0f} s"
        super().__init__("tracker", Reason.TIMEOUT, words, retryable=True, retry_after_s=left_s)
