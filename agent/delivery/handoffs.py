"""Hands incidents over to other agents, and answers those who handed some to us.

At least once: both ends know what comes twice by its key. A refusal is as good as an answer: the human is
called at once. Whatever happens here, the incident's run calls them at the deadline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from agent.delivery.sending import Backoff, OneByOne
from agent.domain.errors import Reason, ServiceError
from agent.domain.handoffs import ANSWER_TYPE, HANDED_OVER, HANDOFF, HANDOFF_SOURCE, VERSION, Answered
from agent.domain.incident import Entry, EventKind, Incident, TimelineEvent
from agent.domain.outbox import AnswerHandOver, Channel, HandOver, Letter
from agent.domain.records import Decision
from agent.pipeline.context import Context
from agent.pipeline.handing_over import OWN_WORD, kept
from agent.pipeline.telling import tell
from agent.ports import OutboxStore
from agent.ports.handoffs import OtherAgent
from agent.reports.handoff import attempts_of, package, timeline_of

log = structlog.get_logger()

#: A sender waits for a day at most; then nobody reads the answer any more.
_ANSWERED_WITHIN = timedelta(hours=25)

_REFUSALS = frozenset({Reason.REJECTED, Reason.NOT_FOUND, Reason.AUTH})

#: Where an agent takes an answer, behind its address.
ANSWER_PATH = "/api/v1/handoffs/{key}/answer"


@dataclass(frozen=True, slots=True)
class Agents:
    """Whom incidents are handed to, and who handed some to us, each by name."""

    targets: Mapping[str, OtherAgent]
    senders: Mapping[str, OtherAgent]


class HandoffSender(OneByOne):
    """Implements Sender for other agents; one that is down holds up no other."""

    channel = Channel.HANDOFF

    def __init__(self, context: Context, outbox: OutboxStore, agents: Agents) -> None:
        super().__init__(outbox)
        self._context = context
        self._agents = agents
        self._backoffs: dict[str, Backoff] = {}

    def _send(self, letter: Letter) -> None:
        match letter.message:
            case HandOver(to, key):
                self._check_it_is_open(letter.incident_id)
                self._agent(self._agents.targets, to).post("", self._package(letter, key), key=key)
            case AnswerHandOver(to, key) as answer:
                body = self._answer(letter, answer)
                self._agent(self._agents.senders, to).post(ANSWER_PATH.format(key=key), body, key=key)
            case _:
                raise TypeError(f"{type(letter.message).__name__} is no message for another agent")

    def _check_it_is_open(self, incident_id: str) -> None:
        """What a human has by now, or what is over, no other agent shall begin to work on."""
        store = self._context.store
        taken = store.stand_down_of(incident_id)
        if taken is not None:
            raise _OverError(f"{taken.by} {taken.how}")
        if store.incident(incident_id).status.is_terminal:
            raise _OverError("it has ended")

    def _agent(self, agents: Mapping[str, OtherAgent], name: str) -> OtherAgent:
        if name not in agents:
            words = f"there is no {name} in config.yaml any more (handoff)"
            raise ServiceError("handoff", Reason.NOT_FOUND, words, retryable=False)
        return agents[name]

    def _package(self, letter: Letter, key: str) -> Mapping[str, object]:
        store, config = self._context.store, self._context.config
        incident, timeline = store.incident(letter.incident_id), store.timeline(letter.incident_id)
        asked = _asked(timeline)
        chain = [*self._chain(incident), config.handoff.name]
        made = package(
            incident,
            store.plan(incident.id),
            store.attempts(incident.id),
            timeline,
            url=f"{config.pages_url}/incidents/{incident.id}",
        )
        made |= {
            "key": key,
            "from": config.handoff.name,
            "chain": chain,
            "max_hops": config.handoff.max_hops,
            "deadline": asked.get("expires_at"),
            "reason": {"trigger": asked.get("trigger"), "why": asked.get("why")},
        }
        return self._redacted(made)

    def _chain(self, incident: Incident) -> tuple[str, ...]:
        if incident.alert.source != HANDOFF_SOURCE:
            return ()
        handed = self._context.store.handed_in(incident.alert.source_id)
        return handed.chain if handed is not None else ()

    def _answer(self, letter: Letter, answer: AnswerHandOver) -> Mapping[str, object]:
        store = self._context.store
        timeline = store.timeline(letter.incident_id)
        url = f"{self._context.config.pages_url}/incidents/{letter.incident_id}"
        body: dict[str, object] = {
            "type": ANSWER_TYPE,
            "version": VERSION,
            "key": answer.key,
            "outcome": answer.outcome,
            "words": answer.words,
            "evidence": {
                "incident": letter.incident_id,
                "url": url,
                "attempts": attempts_of(store.attempts(letter.incident_id)),
                "timeline": timeline_of(timeline),
            },
        }
        return self._redacted(body)

    def _redacted(self, body: dict[str, object]) -> Mapping[str, object]:
        shown = self._context.redactor.value(body)
        return shown if isinstance(shown, dict) else {}

    def _sent(self, letter: Letter) -> None:
        self._backoff(letter).succeeded()
        if isinstance(letter.message, HandOver):
            self._tell(letter, "handed", f"🤝 {letter.message.to} has it now")
        elif isinstance(letter.message, AnswerHandOver):
            self._tell(letter, "answered", f"🤝 {letter.message.to} has our answer")

    def _failed(self, letter: Letter, error: ServiceError) -> float:
        """Never holds up the look: each letter waits for itself."""
        words = self._context.redactor.text(str(error))
        if isinstance(error, _OverError):
            self._withdraw(letter, words)
            return 0.0
        is_over = self._context.clock.now() >= self._until(letter)
        if is_over or error.reason in _REFUSALS:
            self._give_up(letter, words)
            return 0.0
        delay_s = self._backoff(letter).failed(error)
        log.warning("agent_not_reached", incident_id=letter.incident_id, error=words, again_in_s=delay_s)
        self._outbox.postpone([letter.id], delay_s=delay_s, error=words)
        return 0.0

    def _until(self, letter: Letter) -> datetime:
        if isinstance(letter.message, HandOver):
            asked = _asked(self._context.store.timeline(letter.incident_id))
            return datetime.fromisoformat(str(asked.get("expires_at")))
        return letter.created_at + _ANSWERED_WITHIN

    def _give_up(self, letter: Letter, words: str) -> None:
        log.error("agent_did_not_take_it", incident_id=letter.incident_id, error=words)
        match letter.message:
            case HandOver(to):
                self._tell(letter, "not-handed", f"⚠️ {to} does not take it: {words}")
                decision = Decision(
                    HANDOFF, False, OWN_WORD, self._context.clock.now(), kept(Answered(words))
                )
                self._context.store.decide(letter.incident_id, decision)
            case AnswerHandOver(to):
                self._tell(letter, "not-answered", f"⚠️ {to} does not take our answer: {words}")
        self._outbox.undeliverable([letter.id], error=words)

    def _withdraw(self, letter: Letter, words: str) -> None:
        log.info("handoff_withdrawn", incident_id=letter.incident_id, why=words)
        self._tell(letter, "withdrawn", f"🤝 No other agent is asked any more: {words}")
        self._outbox.undeliverable([letter.id], error=words)

    def _backoff(self, letter: Letter) -> Backoff:
        to = letter.message.to if isinstance(letter.message, HandOver | AnswerHandOver) else ""
        return self._backoffs.setdefault(to, Backoff())

    def _tell(self, letter: Letter, key: str, text: str) -> None:
        tell(self._context, letter.incident_id, Entry(f"{key}-{letter.id}", EventKind.DELIVERY, text))


def _asked(timeline: Sequence[TimelineEvent]) -> Mapping[str, object]:
    """What the entry says that hands it over."""
    return next((event.data for event in timeline if event.key == HANDED_OVER), {})


class _OverError(ServiceError):
    """It ended, or a human took it, before the other agent had it."""

    def __init__(self, why: str) -> None:
        super().__init__("handoff", Reason.REJECTED, why, retryable=False)
