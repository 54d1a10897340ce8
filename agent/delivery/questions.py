"""Questions in the thread: asked with buttons where those work, kept current, and without buttons once over.

What one shows is read from the store each time. So it does not matter which way the answer came, nor whether
a process died between the answer and the thread: the next look shows what is true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import EventKind, TimelineEvent
from agent.domain.outbox import ChatQuestion, Letter
from agent.domain.presses import Shown
from agent.domain.records import CHOICE
from agent.pipeline.context import Context
from agent.ports import Chat, OutboxStore, QuestionCard
from agent.reports.question import Facts, question

log = structlog.get_logger()

_ASKED = (EventKind.APPROVAL_REQUESTED, EventKind.AMBIGUOUS)

#: After these a question will never be what it should be: it was deleted, or Slack does not take it.
_LASTING = frozenset({Reason.NOT_FOUND, Reason.REJECTED})


class Questions:
    """The questions of all incidents, for the sender of the chat."""

    def __init__(self, context: Context, outbox: OutboxStore, chat: Chat) -> None:
        self._context = context
        self._outbox = outbox
        self._chat = chat

    def ask(self, ref: str, letter: Letter) -> bool:
        """Whether it was asked with buttons; else a line is to say it."""
        message = letter.message
        if not isinstance(message, ChatQuestion) or not (self._chat.has_threads and ref):
            return False
        shown = self._card(letter.incident_id, message.key)
        if shown is None:
            return False
        try:
            asked = self._chat.post_question(ref, shown, key=str(letter.id))
        except ServiceError as error:
            if error.reason is not Reason.REJECTED:
                raise
            log.error("question_rejected", incident_id=letter.incident_id, error=str(error))  # noqa: TRY400
            return False
        self._keep(letter.incident_id, message.key, asked, shown)
        return True

    def found(self, ref: str, letters: Sequence[Letter]) -> None:
        """These stand in the thread although nobody remembered where: they are kept current too."""
        for letter in letters:
            if isinstance(letter.message, ChatQuestion):
                asked = self._chat.find_question(ref, str(letter.id), since=letter.created_at)
                if asked:
                    self._outbox.keep_card(letter.incident_id, letter.message.key, asked)

    def refresh(self, incident_id: str, wait_s: Callable[[], float]) -> float:
        """Bring every open question of the incident up to date; gives the seconds before it may go on."""
        for each in self._outbox.open_cards(incident_id):
            shown = self._card(incident_id, each.key)
            if shown is None or each.shown == _digest(shown):
                continue
            waited = wait_s()
            if waited:
                return waited
            is_over = self._update(incident_id, each, shown) or bool(shown.outcome)
            self._outbox.card_shows(incident_id, each.key, _digest(shown), is_over=is_over)
        return 0.0

    def _update(self, incident_id: str, each: Shown, shown: QuestionCard) -> bool:
        """True if it can never be updated again."""
        try:
            self._chat.update_question(each.ref, shown)
        except ServiceError as error:
            if error.reason not in _LASTING:
                raise
            log.warning("question_not_updated", incident_id=incident_id, error=str(error))
            return error.reason is Reason.NOT_FOUND
        return False

    def _keep(self, incident_id: str, key: str, asked: str, shown: QuestionCard) -> None:
        self._outbox.keep_card(incident_id, key, asked)
        self._outbox.card_shows(incident_id, key, _digest(shown), is_over=bool(shown.outcome))

    def _card(self, incident_id: str, key: str) -> QuestionCard | None:
        store = self._context.store
        asked = [event for event in store.timeline(incident_id) if event.kind in _ASKED]
        this = next((event for event in asked if event.key == key), None)
        if this is None or "expires_at" not in this.data:
            return None
        facts = Facts(
            incident=store.incident(incident_id),
            asked=this,
            plan=store.plan(incident_id),
            decision=store.decision(incident_id, _decides(this)),
            stand_down=store.stand_down_of(incident_id),
            votes=store.votes(incident_id, _decides(this)),
            is_last=this is asked[-1],
        )
        url = self._context.config.pages_url
        return self._redacted(question(facts, now=self._context.clock.now(), pages_url=url))

    def _redacted(self, card: QuestionCard) -> QuestionCard:
        text = self._context.redactor.text
        return replace(
            card,
            question=text(card.question),
            facts=tuple((text(name), text(value)) for name, value in card.facts),
            runs=text(card.runs),
            outcome=text(card.outcome),
        )


def _decides(asked: TimelineEvent) -> str:
    return CHOICE if asked.kind is EventKind.AMBIGUOUS else str(asked.data["plan_hash"])


def _digest(card: QuestionCard) -> str:
    return hashlib.sha256(repr(card).encode("utf-8", "surrogatepass")).hexdigest()
