"""Tells the thread: what waits for one incident goes out as few messages, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import structlog

from agent.delivery.sending import Backoff, Pace
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Channel, ChatLine, ChatSummary, Letter
from agent.pipeline.context import Context
from agent.ports import Chat, OutboxStore, ThreadCard
from agent.reports.card import card

log = structlog.get_logger()

#: Letters looked at together; a backlog is told in few messages, not in one a line.
_BATCH = 200

#: Slack allows about one message a second in a channel and tolerates short bursts
#: (documentation page "Rate limits"); chat.update is tier 3, 50 a minute.
_POST_BURST, _POST_EVERY_S = 4, 1.0
_UPDATE_BURST, _UPDATE_EVERY_S = 5, 1.3


class ChatSender:
    """Implements Sender for the incident threads."""

    channel = Channel.CHAT

    def __init__(self, context: Context, outbox: OutboxStore, chat: Chat) -> None:
        self._context = context
        self._outbox = outbox
        self._chat = chat
        self._backoff = Backoff()
        self._posts = Pace(context.clock, burst=_POST_BURST, every_s=_POST_EVERY_S)
        self._updates = Pace(context.clock, burst=_UPDATE_BURST, every_s=_UPDATE_EVERY_S)

    def deliver(self) -> float:
        """Deliver what is due; gives the seconds before it is worth looking again (0: at once)."""
        letters = self._outbox.next_letters(Channel.CHAT, _BATCH)
        for incident_id, group in groupby(sorted(letters, key=_order), key=_incident):
            wait_s = self._deliver_incident(incident_id, list(group))
            if wait_s:
                return wait_s
        return 0.0

    def _deliver_incident(self, incident_id: str, letters: Sequence[Letter]) -> float:
        open_ids = [letter.id for letter in letters]
        self._outbox.begin_delivery(open_ids)
        try:
            wait_s = self._tell(incident_id, letters, open_ids)
        except ServiceError as error:
            return self._failed(incident_id, open_ids, error)
        self._backoff.succeeded()
        return wait_s

    def _tell(self, incident_id: str, letters: Sequence[Letter], open_ids: list[int]) -> float:
        """Post what is new; `open_ids` shrinks as letters arrive, so that no failure tells a line twice."""
        ref, wait_s = self._root(incident_id)
        if ref is None:
            return wait_s
        for said in _messages(letters):
            wait_s = self._posts.wait_s()
            if wait_s:
                return wait_s
            lines = [each.message.text for each in said if isinstance(each.message, ChatLine | ChatSummary)]
            broadcast = isinstance(said[-1].message, ChatSummary)
            self._chat.post_lines(ref, lines, broadcast=broadcast)
            self._arrived([letter.id for letter in said], open_ids)
        return self._update(incident_id, ref, open_ids)

    def _root(self, incident_id: str) -> tuple[str | None, float]:
        ref = self._outbox.thread_ref(incident_id)
        if ref is not None:
            return ref, 0.0
        wait_s = self._posts.wait_s()
        if wait_s:
            return None, wait_s
        ref = self._chat.post_root(self._card(incident_id))
        self._outbox.keep_thread_ref(incident_id, ref)
        return ref, 0.0

    def _update(self, incident_id: str, ref: str, open_ids: list[int]) -> float:
        if not open_ids:
            return 0.0
        wait_s = self._updates.wait_s() if self._chat.has_threads else 0.0
        if wait_s:
            return wait_s
        if self._chat.has_threads:
            self._chat.update_root(ref, self._card(incident_id))
        self._arrived(list(open_ids), open_ids)
        return 0.0

    def _card(self, incident_id: str) -> ThreadCard:
        return card(self._context.store.incident(incident_id), self._context.config.server.public_url)

    def _arrived(self, ids: Sequence[int], open_ids: list[int]) -> None:
        self._outbox.delivered(ids)
        for each in ids:
            open_ids.remove(each)

    def _failed(self, incident_id: str, open_ids: Sequence[int], error: ServiceError) -> float:
        if error.reason is Reason.NOT_FOUND and self._outbox.thread_ref(incident_id):
            log.warning("chat_thread_gone", incident_id=incident_id, error=str(error))
            self._outbox.forget_thread_ref(incident_id)
            return 0.0
        if error.reason is Reason.REJECTED:
            log.error("chat_rejected", incident_id=incident_id, error=str(error), letters=list(open_ids))
            self._outbox.undeliverable(open_ids[:1], error=str(error))
            return 0.0
        delay_s = self._backoff.failed(error)
        log.warning("chat_down", reason=error.reason.value, error=str(error), again_in_s=round(delay_s, 1))
        self._outbox.postpone(open_ids, delay_s=delay_s, error=str(error))
        return delay_s


def _incident(letter: Letter) -> str:
    return letter.incident_id


def _order(letter: Letter) -> tuple[str, int]:
    return letter.incident_id, letter.id


def _messages(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Lines that follow each other become one message; a summary stands alone."""
    said = [letter for letter in letters if isinstance(letter.message, ChatLine | ChatSummary)]
    for is_summary, group in groupby(said, key=lambda each: isinstance(each.message, ChatSummary)):
        if is_summary:
            yield from ([letter] for letter in group)
        else:
            yield list(group)
