"""Tells the thread: what waits for one incident goes out as few messages, in order, each line once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

import structlog

from agent.delivery.doubts import Doubts
from agent.delivery.questions import Questions
from agent.delivery.sending import Backoff, Pace, fairly
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatLine, ChatQuestion, ChatSummary, Letter
from agent.domain.stops import STOP_PREFIX
from agent.pipeline.context import Context
from agent.ports import Chat, OutboxStore, ThreadCard
from agent.reports.card import card, stop_card

log = structlog.get_logger()

#: Letters looked at together; a backlog is told in few messages, not in one a line.
_BATCH = 200

#: What is said, beside the card, and of it what stands alone and is shown in the channel.
_SAID = ChatLine | ChatSummary | ChatQuestion
_ALONE = ChatSummary | ChatQuestion

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
        self._doubts = Doubts(context.clock, chat)
        self._questions = Questions(context, outbox, chat)
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
        ref, wait_s = self._root(incident_id, letters)
        if ref is None:
            return wait_s
        wait_s = self._look_up(ref, letters, open_ids)
        if wait_s:
            return wait_s
        left = [letter for letter in letters if letter.id in open_ids]
        for said in _messages(left, one_by_one=incident_id in self._one_by_one):
            stopped_for_s = self._say(incident_id, ref, said, open_ids)
            if stopped_for_s is not None:
                return stopped_for_s
        self._one_by_one.discard(incident_id)
        return self._update(incident_id, ref, open_ids)

    def _look_up(self, ref: str, letters: Sequence[Letter], open_ids: list[int]) -> float:
        """Mark what stands there already; gives the seconds before it may be asked."""
        doubtful = self._doubts.among(_said(letters))
        if not doubtful:
            return 0.0
        wait_s = self._doubts.wait_s()
        if not wait_s:
            arrived = self._doubts.arrived(ref, doubtful)
            self._questions.found(ref, [letter for letter in doubtful if letter.id in arrived])
            self._arrived(arrived, open_ids)
        return wait_s

    def _say(self, incident_id: str, ref: str, said: Sequence[Letter], open_ids: list[int]) -> float | None:
        """Post these lines; else the seconds before it may go on (0: one was refused, now one by one)."""
        while said:
            wait_s = self._posts.wait_s()
            if wait_s:
                return wait_s
            try:
                count = self._post(ref, said)
            except ServiceError as error:
                if error.reason is not Reason.REJECTED:
                    raise
                if len(said) > 1:
                    self._one_by_one.add(incident_id)
                    return 0.0
                self._give_up(incident_id, [said[0].id], open_ids, error)
                return None
            self._arrived([letter.id for letter in said[:count]], open_ids)
            said = said[count:]
        return None

    def _post(self, ref: str, said: Sequence[Letter]) -> int:
        """One message with as many of the lines as it holds; how many those are."""
        lines = [each.message.text for each in said if isinstance(each.message, _SAID)]
        keys = [str(each.id) for each in said]
        broadcast = isinstance(said[-1].message, _ALONE)
        self._outbox.begin_delivery([letter.id for letter in said])
        with self._doubts.trying(said):
            if self._questions.ask(ref, said[0]):
                return 1
            return self._chat.post_lines(ref, lines, keys=keys, broadcast=broadcast)

    def _root(self, incident_id: str, letters: Sequence[Letter]) -> tuple[str | None, float]:
        ref = self._outbox.thread_ref(incident_id)
        if ref is not None:
            return ref, 0.0
        if self._doubts.among(letters[:1]):
            wait_s = self._doubts.wait_s()
            if wait_s:
                return None, wait_s
            ref = self._doubts.root(letters[0])
            if ref:
                self._outbox.keep_thread_ref(incident_id, ref)
                return ref, 0.0
        wait_s = self._posts.wait_s()
        if wait_s:
            return None, wait_s
        self._outbox.begin_delivery([letters[0].id])
        with self._doubts.trying(letters[:1]):
            ref = self._chat.post_root(self._card(incident_id), key=incident_id)
        self._doubts.absent(letters)  # nothing stands in a new thread
        self._outbox.keep_thread_ref(incident_id, ref)
        return ref, 0.0

    def _update(self, incident_id: str, ref: str, open_ids: list[int]) -> float:
        """Only cards are left open: one update stands for all of them."""
        if not open_ids:
            return 0.0
        wait_s = 0.0
        if self._chat.has_threads:
            wait_s = self._questions.refresh(incident_id, self._updates.wait_s) or self._updates.wait_s()
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
        store, url = self._context.store, self._context.config.pages_url
        stop = store.stop_of(incident_id) if incident_id.startswith(STOP_PREFIX) else None
        shown = card(store.incident(incident_id), url) if stop is None else stop_card(stop, url)
        return ThreadCard(**{name: self._context.redactor.text(text) for name, text in asdict(shown).items()})

    def _arrived(self, ids: Sequence[int], open_ids: list[int]) -> None:
        if not ids:
            return
        self._outbox.delivered(ids)
        self._doubts.over(ids)
        for each in ids:
            open_ids.remove(each)

    def _give_up(
        self, incident_id: str, ids: Sequence[int], open_ids: list[int], error: ServiceError
    ) -> None:
        """Drop exactly what is refused; told in the timeline alone: the chat might refuse that line too."""
        log.error("chat_rejected", incident_id=incident_id, error=str(error), letters=list(ids))
        text = self._context.redactor.text(f"⚠️ The chat did not take one of our messages: {error}")
        entry = Entry(f"undeliverable-{ids[0]}", EventKind.DELIVERY, text, {"letters": list(ids)})
        self._context.store.record(incident_id, [entry])
        self._outbox.undeliverable(ids, error=self._context.redactor.text(str(error)))
        self._doubts.over(ids)
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
    """Lines that follow each other become one message; a summary or a question stands alone."""
    for is_alone, group in groupby(_said(letters), key=lambda each: isinstance(each.message, _ALONE)):
        if is_alone or one_by_one:
            yield from ([letter] for letter in group)
        else:
            yield list(group)


def _said(letters: Sequence[Letter]) -> list[Letter]:
    return [letter for letter in letters if isinstance(letter.message, _SAID)]
