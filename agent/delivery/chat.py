"""Tells the thread: what waits for one incident goes out as few messages, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

import structlog

from agent.delivery.sending import Backoff, Pace, fairly
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
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
        #: Incidents of which a message of several lines was refused: which line it was is found singly.
        self._one_by_one: set[str] = set()

    def deliver(self) -> float:
        """Deliver what is due; gives the seconds before it is worth looking again (0: at once)."""
        for letters in fairly(self._outbox.next_letters(Channel.CHAT, _BATCH)):
            wait_s = self._deliver_incident(letters[0].incident_id, letters)
            if wait_s:
                return wait_s
        return 0.0

    def _deliver_incident(self, incident_id: str, letters: Sequence[Letter]) -> float:
        open_ids = [letter.id for letter in letters]
        try:
            wait_s = self._tell(incident_id, letters, open_ids)
        except ServiceError as error:
            return self._failed(incident_id, open_ids, error)
        self._backoff.succeeded()
        return wait_s

    def _tell(self, incident_id: str, letters: Sequence[Letter], open_ids: list[int]) -> float:
        """Post what is new; `open_ids` shrinks as letters arrive, so that no failure tells a line twice."""
        ref, wait_s = self._root(incident_id, open_ids)
        if ref is None:
            return wait_s
        for said in _messages(letters, one_by_one=incident_id in self._one_by_one):
            wait_s = self._posts.wait_s()
            if wait_s:
                return wait_s
            if not self._say(incident_id, ref, said, open_ids):
                return 0.0
        self._one_by_one.discard(incident_id)
        return self._update(incident_id, ref, open_ids)

    def _say(self, incident_id: str, ref: str, said: Sequence[Letter], open_ids: list[int]) -> bool:
        """Post one message; False if it was refused and its lines must be told one by one."""
        ids = [letter.id for letter in said]
        lines = [each.message.text for each in said if isinstance(each.message, ChatLine | ChatSummary)]
        self._outbox.begin_delivery(ids)
        try:
            self._chat.post_lines(ref, lines, broadcast=isinstance(said[-1].message, ChatSummary))
        except ServiceError as error:
            if error.reason is not Reason.REJECTED:
                raise
            if len(said) > 1:
                self._one_by_one.add(incident_id)
                return False
            self._give_up(incident_id, ids, open_ids, error)
        else:
            self._arrived(ids, open_ids)
        return True

    def _root(self, incident_id: str, open_ids: Sequence[int]) -> tuple[str | None, float]:
        ref = self._outbox.thread_ref(incident_id)
        if ref is not None:
            return ref, 0.0
        wait_s = self._posts.wait_s()
        if wait_s:
            return None, wait_s
        self._outbox.begin_delivery(open_ids[:1])
        ref = self._chat.post_root(self._card(incident_id))
        self._outbox.keep_thread_ref(incident_id, ref)
        return ref, 0.0

    def _update(self, incident_id: str, ref: str, open_ids: list[int]) -> float:
        """Only cards are left open: one update stands for all of them."""
        if not open_ids:
            return 0.0
        wait_s = self._updates.wait_s() if self._chat.has_threads else 0.0
        if wait_s:
            return wait_s
        self._outbox.begin_delivery(open_ids)
        try:
            if self._chat.has_threads:
                self._chat.update_root(ref, self._card(incident_id))
        except ServiceError as error:
            if error.reason is not Reason.REJECTED:
                raise
            self._give_up(incident_id, list(open_ids), open_ids, error)
        else:
            self._arrived(list(open_ids), open_ids)
        return 0.0

    def _card(self, incident_id: str) -> ThreadCard:
        shown = card(self._context.store.incident(incident_id), self._context.config.server.public_url)
        return ThreadCard(**{name: self._context.redactor.text(text) for name, text in asdict(shown).items()})

    def _arrived(self, ids: Sequence[int], open_ids: list[int]) -> None:
        self._outbox.delivered(ids)
        for each in ids:
            open_ids.remove(each)

    def _give_up(
        self, incident_id: str, ids: Sequence[int], open_ids: list[int], error: ServiceError
    ) -> None:
        """Drop exactly what is refused; told in the timeline alone: the chat might refuse that line too."""
        log.error("chat_rejected", incident_id=incident_id, error=str(error), letters=list(ids))
        self._outbox.undeliverable(ids, error=self._context.redactor.text(str(error)))
        text = self._context.redactor.text(f"⚠️ The chat did not take one of our messages: {error}")
        entry = Entry(f"undeliverable-{ids[0]}", EventKind.DELIVERY, text, {"letters": list(ids)})
        self._context.store.record(incident_id, [entry])
        for each in ids:
            open_ids.remove(each)

    def _failed(self, incident_id: str, open_ids: Sequence[int], error: ServiceError) -> float:
        if error.reason is Reason.NOT_FOUND and self._outbox.thread_ref(incident_id):
            log.warning("chat_thread_gone", incident_id=incident_id, error=str(error))
            self._outbox.forget_thread_ref(incident_id)
            return 0.0
        delay_s = self._backoff.failed(error)
        log.warning("chat_down", reason=error.reason.value, error=str(error), again_in_s=round(delay_s, 1))
        self._outbox.postpone(open_ids, delay_s=delay_s, error=self._context.redactor.text(str(error)))
        # a root message that is refused for what it says holds up no other incident
        return 0.0 if error.reason is Reason.REJECTED else delay_s


def _messages(letters: Sequence[Letter], *, one_by_one: bool) -> Iterator[list[Letter]]:
    """Lines that follow each other become one message; a summary stands alone."""
    said = [letter for letter in letters if isinstance(letter.message, ChatLine | ChatSummary)]
    for is_summary, group in groupby(said, key=lambda each: isinstance(each.message, ChatSummary)):
        if is_summary or one_by_one:
            yield from ([letter] for letter in group)
        else:
            yield list(group)
