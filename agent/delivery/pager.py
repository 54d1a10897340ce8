"""Wakes a human, and does not stop trying until the pager has taken it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from agent.delivery.sending import Backoff, OneByOne
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import NO_CLIENT, Channel, ClearPage, Letter, PageHuman
from agent.pipeline.context import Context
from agent.pipeline.intake import OWN_CLIENT
from agent.pipeline.telling import tell
from agent.ports import OutboxStore, Page, Pager

log = structlog.get_logger()

#: However long the pager asks us to wait: an unwoken human is worse than a refused request.
_LONGEST_WAIT_S = 30.0


class PagerSender(OneByOne):
    """Implements Sender for pages (PagerDuty's Events API v2); the dedup_key makes repeats harmless."""

    channel = Channel.PAGER

    def __init__(
        self,
        context: Context,
        outbox: OutboxStore,
        pager: Pager,
        *,
        targets: Mapping[str, Pager] | None = None,
    ) -> None:
        super().__init__(outbox)
        self._context = context
        self._targets = targets or {}
        self._pager = pager
        self._backoff = Backoff(longest_s=_LONGEST_WAIT_S)

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case PageHuman() as page:
                self._pager_of(page.target).page(_page(page))
            case ClearPage(dedup_key, _, target):
                self._pager_of(target).clear(dedup_key)
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no message for the pager")

    def _pager_of(self, target: str) -> Pager:
        """The service that is named; one that the configuration no longer has leaves the agent's own."""
        return self._targets.get(target, self._pager)

    def _sent(self, letter: Letter) -> None:
        self._backoff.succeeded()
        if isinstance(letter.message, ClearPage):
            self._tell(letter, "page-cleared", f"📟 The page is cleared: {letter.message.why}")
        else:
            target = letter.message.target if isinstance(letter.message, PageHuman) else ""
            self._tell(letter, "paged", "📟 A human was paged" + (f" at {target}" if target else ""))

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        if isinstance(letter.message, ClearPage) and error.reason is Reason.REJECTED:
            return self._left_open(letter, error)
        delay_s = self._backoff.failed(error)
        log.error(
            "page_not_taken",
            incident_id=letter.incident_id,
            reason=error.reason.value,
            error=str(error),
            again_in_s=round(delay_s, 1),
        )
        self._outbox.postpone([letter.id], delay_s=delay_s, error=self._context.redactor.text(str(error)))
        what = "clearing of the page" if isinstance(letter.message, ClearPage) else "page"
        text = f"⚠️ The {what} could not be delivered yet ({error}); it is tried again until it is taken"
        self._tell(letter, "page-failed", text)
        # a page that is refused for what it says holds up no other
        return 0.0 if error.reason is Reason.REJECTED else delay_s

    def _left_open(self, letter: Letter, error: ServiceError) -> float:
        """A page too many is for a human to close; nobody waits for this one to be taken."""
        log.error("clear_rejected", incident_id=letter.incident_id, error=str(error))
        self._tell(letter, "page-left-open", f"⚠️ The page could not be cleared: {error}")
        self._outbox.undeliverable([letter.id], error=self._context.redactor.text(str(error)))
        return 0.0

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
        group=message.group,
        kind=message.kind,
        at=message.at,
        client="" if message.client == NO_CLIENT else message.client or OWN_CLIENT,
    )
