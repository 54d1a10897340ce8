"""Tells the alert's source: acknowledge, note, resolve, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import structlog

from agent.delivery.sending import Backoff, OneByOne
from agent.domain.alert import steady
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import Channel, DeskAcknowledge, DeskNote, DeskResolve, Letter
from agent.pipeline import closing
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.ports import IncidentDesk, OutboxStore

log = structlog.get_logger()

#: Who we are does not change from hour to hour; while unknown it is asked again.
_ASK_AGAIN_S, _KNOWN_FOR_S = 60.0, 3600.0


class DeskSender(OneByOne):
    """Implements Sender for the source's incident desk (PagerDuty's REST API)."""

    channel = Channel.DESK

    def __init__(self, context: Context, outbox: OutboxStore, desk: IncidentDesk) -> None:
        super().__init__(outbox)
        self._context = context
        self._desk = desk
        self._backoff = Backoff()

    def _sent(self, letter: Letter) -> None:
        self._backoff.succeeded()
        if isinstance(letter.message, DeskResolve) and letter.message.same_as is None:
            closing.now_resolved(self._context, letter.incident_id, "the agent's resolve was taken")

    def introduce(self) -> float:
        """Learn whom our writes are counted for, so that their echoes are told apart from a human's hand."""
        try:
            user_id = self._desk.own_user_id()
        except ServiceError as error:
            log.warning("own_user_unknown", error=str(error))
            return _ASK_AGAIN_S
        if user_id:
            self._outbox.learn_own_user_id(user_id)
        return _KNOWN_FOR_S

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case DeskAcknowledge(source_id):
                if self._is_wanted(letter):
                    self._write(source_id, "acknowledge")
            case DeskNote(source_id, text):
                self._desk.note(source_id, text)
            case DeskResolve(source_id, resolution, same_as):
                if same_as is None or self._is_the_same(letter, source_id, same_as):
                    self._write(source_id, "resolve", resolution)
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no message for the desk")

    def _is_wanted(self, letter: Letter) -> bool:
        """Not once somebody else has it: an acknowledge would stop the source's own paging for them."""
        if self._context.store.stand_down_of(letter.incident_id) is not None:
            return False
        return self._context.store.incident(letter.incident_id).status not in _GIVEN_UP

    def _is_the_same(self, letter: Letter, source_id: str, same_as: Mapping[str, str]) -> bool:
        """What was folded was never looked at: it says in its labels whether it was about the same thing."""
        labels = self._desk.facts(source_id).labels
        told = {name: (same_as[name], labels[name]) for name in same_as if name in labels}
        other = {name: pair for name, pair in told.items() if steady(pair[0]) != steady(pair[1])}
        if other:
            closing.page_not_the_same(self._context, letter.incident_id, source_id, other)
        return not other

    def _write(self, source_id: str, action: Literal["acknowledge", "resolve"], resolution: str = "") -> None:
        """Our write comes back as a webhook: remember it before it is sent, and whom it counted for."""
        self._outbox.begin_own_write(source_id, action)
        if action == "acknowledge":
            actor_id = self._desk.acknowledge(source_id)
        else:
            actor_id = self._desk.resolve(source_id, resolution)
        self._outbox.end_own_write(source_id, action, actor_id)

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        if error.reason in (Reason.REJECTED, Reason.NOT_FOUND):
            self._give_up(letter, error)
            return 0.0
        if not error.retryable and not isinstance(letter.message, DeskResolve):
            self._give_up(letter, error)
            return 0.0
        if not error.retryable:
            self._page_unresolved(letter, error)
        delay_s = self._backoff.failed(error)
        log.warning("desk_down", reason=error.reason.value, error=str(error), again_in_s=round(delay_s, 1))
        self._outbox.postpone([letter.id], delay_s=delay_s, error=self._context.redactor.text(str(error)))
        if isinstance(letter.message, DeskNote) and letter.tries >= _NOTE_TRIES:
            self._outbox.put_last(letter.id)  # a note must not hold up the resolve behind it for ever
        return delay_s

    def _give_up(self, letter: Letter, error: ServiceError) -> None:
        kind = type(letter.message).__name__
        log.error("desk_rejected", incident_id=letter.incident_id, message=kind, error=str(error))
        text = f"⚠️ The source did not take our {_WORDS.get(kind, kind)}: {error}"
        entry = Entry(f"undeliverable-{letter.id}", EventKind.NOTE, text)
        tell(self._context, letter.incident_id, entry)
        if isinstance(letter.message, DeskResolve) and error.reason is Reason.REJECTED:
            self._page_unresolved(letter, error)
        # last: whoever dies before it asks once more, and tells nothing twice
        self._outbox.undeliverable([letter.id], error=self._context.redactor.text(str(error)))

    def _page_unresolved(self, letter: Letter, error: ServiceError) -> None:
        """It is fixed, and the source still says that it is not: somebody has to close it."""
        closing.page_unresolved(self._context, letter.incident_id, str(error))


#: With the waits in between about two minutes; a note that was tried so often comes after what is behind it.
_NOTE_TRIES = 8

_GIVEN_UP = frozenset({Status.ESCALATED, Status.STOOD_DOWN, Status.IGNORED})

_WORDS = {"DeskAcknowledge": "acknowledge", "DeskNote": "note", "DeskResolve": "resolve"}
