"""Wakes a human, and does not stop trying until the pager has taken it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from agent.delivery.sending import Backoff, fairly
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, Letter, PageHuman
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.ports import OutboxStore, Page, Pager

log = structlog.get_logger()

_BATCH = 50

#: However long the pager asks us to wait: an unwoken human is worse than a refused request.
_LONGEST_WAIT_S = 30.0


class PagerSender:
    """Implements Sender for pages (PagerDuty's Events API v2); the dedup_key makes repeats harmless."""

    channel = Channel.PAGER

    def __init__(self, context: Context, outbox: OutboxStore, pager: Pager) -> None:
        self._context = context
        self._outbox = outbox
        self._pager = pager
        self._backoff = Backoff(longest_s=_LONGEST_WAIT_S)

    def deliver(self) -> float:
        """Deliver what is due; gives the seconds before it is worth looking again (0: at once)."""
        for letters in fairly(self._outbox.next_letters(Channel.PAGER, _BATCH)):
            wait_s = self._deliver_incident(letters)
            if wait_s:
                return wait_s
        return 0.0

    def _deliver_incident(self, letters: Sequence[Letter]) -> float:
        for letter in letters:
            if not isinstance(letter.message, PageHuman):
                raise TypeError(f"{type(letter.message).__name__} is no message for the pager")
            self._outbox.begin_delivery([letter.id])
            try:
                self._pager.page(_page(letter.message))
            except ServiceError as error:
                return self._failed(letter, error)
            self._outbox.delivered([letter.id])
            self._backoff.succeeded()
            self._tell(letter, "paged", "📟 A human was paged")
        return 0.0

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        delay_s = self._backoff.failed(error)
        log.error(
            "page_not_taken",
            incident_id=letter.incident_id,
            reason=error.reason.value,
            error=str(error),
            again_in_s=round(delay_s, 1),
        )
        self._outbox.postpone([letter.id], delay_s=delay_s, error=str(error))
        text = f"⚠️ The page could not be delivered yet ({error}); it is tried again until it is taken"
        self._tell(letter, "page-failed", text)
        # a page that is refused for what it says holds up no other
        return 0.0 if error.reason is Reason.REJECTED else delay_s

    def _tell(self, letter: Letter, key: str, text: str) -> None:
        tell(self._context, letter.incident_id, Entry(f"{key}-{letter.id}", EventKind.NOTE, text))


def _page(message: PageHuman) -> Page:
    return Page(
        dedup_key=message.dedup_key,
        summary=message.summary,
        severity=message.severity,
        source=message.source,
        component=message.component,
        details=message.details,
        links=message.links,
    )
