"""What another agent handed to us: once its incident has ended, the answer is posted, once.

Its incident is one like any other, with its own matching and guards. It pages nobody here: whoever handed it
over waits for the answer, and calls its human when that is no, or none.
"""

from __future__ import annotations

from agent.domain.handoffs import HandedIn, Outcome
from agent.domain.incident import Entry, EventKind, Incident, Status
from agent.domain.outbox import AnswerHandOver
from agent.domain.queue import Escalated
from agent.escalations import claims
from agent.escalations.claims import NotPossible
from agent.pipeline.context import Context
from agent.pipeline.telling import redacted

_EVERY_S, _AT_ONCE_S, _MOST = 1.0, 0.05, 50

_MAX_WORDS = 500


class HandedInDesk:
    """Answers; one process does it for all of them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def tick(self) -> float:
        """Look; gives the seconds before it is worth looking again."""
        ended = self._context.store.answerable(_MOST)
        for handed, incident_id, main_id in ended:
            self._answer(handed, incident_id, self._context.store.incident(main_id))
        return _AT_ONCE_S if len(ended) == _MOST else _EVERY_S

    def _answer(self, handed: HandedIn, incident_id: str, ended: Incident) -> None:
        """First the queue: whoever dies in between does both again."""
        outcome = Outcome.RESOLVED if ended.status is Status.RESOLVED else Outcome.ESCALATE
        words = self._context.redactor.text(ended.result)[:_MAX_WORDS]
        if outcome is Outcome.ESCALATE:
            self._give_back(handed, ended.id)
        entry = Entry(
            "handed-in-answer",
            EventKind.NOTE,
            f"🤝 {handed.sender} is told: {_IN_WORDS[outcome]}",
            {"outcome": outcome.value, "key": handed.key},
        )
        answer = AnswerHandOver(handed.sender, handed.key, outcome.value, words)
        self._context.store.answer_handed_in(
            handed.id, outcome.value, incident_id, redacted(self._context, entry), [answer]
        )

    def _give_back(self, handed: HandedIn, incident_id: str) -> None:
        """Its place in the queue here is over: a human is called there."""
        item = self._context.store.queue_item(incident_id)
        if item is None:
            return
        after = claims.expire(item)
        if isinstance(after, NotPossible):
            return
        self._context.store.queue_change(item, after, self._given_back(item, handed))

    def _given_back(self, item: Escalated, handed: HandedIn) -> Entry:
        text = f"🤝 {item.id} goes back to {handed.sender}, which calls its human"
        data = {"escalation": item.id, "deed": "given back", "to": handed.sender}
        return redacted(self._context, Entry("queue-given-back", EventKind.QUEUE, text, data))


_IN_WORDS = {
    Outcome.RESOLVED: "it is resolved",
    Outcome.ESCALATE: "a human is needed",
}
