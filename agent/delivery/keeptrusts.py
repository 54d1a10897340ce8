"""Brings a human's answer to Keeptrusts, and tries until it has it: a response is held there."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from agent.delivery.sending import Backoff, OneByOne
from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import AnswerKeeptrusts, Channel, Letter, Message, PageHuman
from agent.pipeline.context import Context
from agent.pipeline.intake import OWN_KEY_PREFIX
from agent.pipeline.telling import tell
from agent.ports import OutboxStore
from agent.ports.keeptrusts import Keeptrusts

log = structlog.get_logger()

#: What it will say again however often it is asked.
_FOR_GOOD = (Reason.REJECTED, Reason.NOT_FOUND)


class KeeptrustsSender(OneByOne):
    """Implements Sender; an answer that arrived and is sent again changes nothing there."""

    channel = Channel.KEEPTRUSTS

    def __init__(self, context: Context, outbox: OutboxStore, keeptrusts: Keeptrusts) -> None:
        super().__init__(outbox)
        self._context = context
        self._keeptrusts = keeptrusts
        self._backoff = Backoff()

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case AnswerKeeptrusts(escalation_id, resolution, notes):
                is_new = self._keeptrusts.resolve(escalation_id, resolution, notes)
                if not is_new:
                    text = f"📮 {escalation_id} was settled in Keeptrusts before our {resolution} came"
                    self._tell(letter, "answered-before", text)
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no answer for Keeptrusts")

    def _sent(self, letter: Letter) -> None:
        self._backoff.succeeded()
        match letter.message:
            case AnswerKeeptrusts(escalation_id, resolution):
                self._tell(
                    letter, "answered", f"📮 Keeptrusts has the answer to {escalation_id}: {resolution}"
                )

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        words = self._context.redactor.text(str(error))
        if error.reason in _FOR_GOOD:
            log.error("answer_rejected", story=letter.incident_id, error=words)
            text = f"⚠️ Keeptrusts does not take the answer: {words}; settle it there"
            self._tell(letter, "not-answered", text, self._calls_for_a_human(letter, words))
            self._outbox.undeliverable([letter.id], error=words)
            return 0.0
        delay_s = self._backoff.failed(error)
        log.warning("answer_not_taken", story=letter.incident_id, error=words, again_in_s=round(delay_s, 1))
        self._tell(
            letter, "answer-waits", f"⚠️ The answer is not in Keeptrusts yet ({words}); it is tried again"
        )
        self._outbox.postpone([letter.id], delay_s=delay_s, error=words)
        return delay_s

    def _calls_for_a_human(self, letter: Letter, words: str) -> Sequence[Message]:
        """Whoever answered believes it done, and the response is held until somebody settles it there."""
        if Channel.PAGER not in self._context.channels or not isinstance(letter.message, AnswerKeeptrusts):
            return ()
        given, answer = letter.message.escalation_id, letter.message.resolution
        page = PageHuman(
            dedup_key=f"{OWN_KEY_PREFIX}{letter.incident_id}-not-answered",
            summary=f"Keeptrusts does not take our answer to {given} ({answer}): {words}",
            severity=Severity.ERROR,
            source="incident-agent",
            component="keeptrusts",
            details={"escalation": letter.incident_id, "what_to_do": f"settle it in Keeptrusts: {answer}"},
        )
        return (page,)

    def _tell(self, letter: Letter, key: str, text: str, messages: Sequence[Message] = ()) -> None:
        entry = Entry(f"{key}-{letter.id}", EventKind.DELIVERY, text)
        tell(self._context, letter.incident_id, entry, messages=messages)
