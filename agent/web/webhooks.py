"""Webhooks: verify over the raw bytes, store durably, answer 202; nothing slow before the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeGuard

import structlog
from flask import Blueprint, Response, request

from agent.domain.errors import StoreError
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent
from agent.pipeline.intake import OWN_CLIENT
from agent.ports.sources import Malformed, NotGenuine, Read
from agent.safety.redaction_alert import redacted_webhook
from agent.web import headers
from agent.web.reception import Reception
from agent.web.refusals import LATER_S, NOT_READY, Refused, broke, count, refuse, store_down
from agent.web.sources import known_names, sources_of
from agent.web.webhook_answer import Answer

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

_WORDS = {
    Acceptance.NEW_INCIDENT: "accepted",
    Acceptance.KNOWN_INCIDENT: "known incident",
    Acceptance.STORED: "stored",
    Acceptance.DUPLICATE: "duplicate",
    Acceptance.FOLDED: "same alert",
}

#: A name that nobody could configure is told under this one: a metric keeps each for ever.
_UNKNOWN = "unknown"


def blueprint(desk: Desk) -> Blueprint:
    """`POST /webhook/<name>` for each source that is configured."""
    routes = Blueprint("webhooks", __name__)

    def receive(name: str) -> Response:
        told = {key.lower(): value for key, value in request.headers.items()}
        (answer,) = desk.answer_all([Post(name, request.get_data(cache=False), told)])
        return answer.response()

    routes.post("/webhook/<name>", endpoint="webhook")(receive)
    return routes


@dataclass(frozen=True, slots=True)
class Post:
    """A webhook as it came: the name in its address, its raw bytes, its headers by their lower-case names.

    `since`: when it was there, on the monotonic clock.
    """

    name: str
    raw: bytes
    headers: Mapping[str, str]
    since: float = field(default_factory=time.monotonic)


#: What a webhook tells of, each event with what is kept of the body.
_Told = Sequence[tuple[SourceEvent, str]]

#: What became of each of these.
_Outcomes = Sequence[Accepted | Exception]


class Desk:
    """Where all webhooks come in, each from its raw bytes to its answer; those of one moment together."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self.always: Sequence[tuple[str, str]] = tuple(headers.always(parts.config).items())
        self._sources = sources_of(parts.config)
        self._reception = Reception(parts.store, backlog=parts.config.limits.backlog)
        self._quick = {name for name, source in self._sources.items() if not source.asks_others}

    def is_quick(self, name: str) -> bool:
        """Whether a webhook of this name is proved and read without asking anybody."""
        return name in self._quick

    def answer_all(self, posts: Sequence[Post]) -> Sequence[Answer]:
        """What each is told, once all that is taken is durable; a mistake with one is no other's."""
        with self._parts.courtesy.answering():
            read = [self._read(post) for post in posts]
            told = [() if isinstance(each, Answer) else each for each in read]
            outcomes = self._store([post.since for post in posts], told)
            self._wake(told, outcomes)
            return [
                each if isinstance(each, Answer) else self._answer(post.name, each, became)
                for post, each, became in zip(posts, read, outcomes, strict=True)
            ]

    def _read(self, post: Post) -> _Told | Answer:
        try:
            return self._proved_and_read(post)
        except Exception as error:  # noqa: BLE001 - the boundary of one request, of which there are others
            return broke(error)

    def _proved_and_read(self, post: Post) -> _Told | Answer:
        name = post.name
        called = name if name in self._sources or name in known_names() else _UNKNOWN
        # whatever else is wrong: while it starts or stops a 4xx would make its sender give up
        if not self._parts.ready.is_set():
            return self._no(called, NOT_READY)
        source = self._sources.get(name)
        if source is None:
            return self._no(called, _not_configured(called))
        not_genuine = source.genuine(post.raw, post.headers)
        if not_genuine is not None:
            return self._no(name, _doubted(not_genuine))
        read = source.read(post.raw, post.headers)
        if isinstance(read, Malformed):
            return self._no(name, Refused(400, "malformed", read.reason))
        return self._foreign(name, read, post.raw.decode("utf-8", "replace"))

    def _foreign(self, name: str, read: Read, raw: str) -> _Told | Answer:
        """What others tell of: our own pages come back by the source as well."""
        kept = read.kept or [raw] * len(read.events)
        foreign = [pair for pair in zip(read.events, kept, strict=True) if pair[0].client != OWN_CLIENT]
        if not foreign:
            return self._nothing(name, "own escalation" if read.events else "nothing to do", read.why_none)
        return [self._redacted(event, body) for event, body in foreign]

    def _store(self, since: Sequence[float], told: Sequence[_Told]) -> Sequence[_Outcomes]:
        """What became of each; who waited behind others that the store did not take waits no longer."""
        refusals = [self._reception.refusal(moment) for moment in since]
        going = [pair for each, refusal in zip(told, refusals, strict=True) if not refusal for pair in each]
        taking = iter(self._reception.take_all(going))
        return [
            [refusal] * len(each) if refusal else list(islice(taking, len(each)))
            for each, refusal in zip(told, refusals, strict=True)
        ]

    def _wake(self, told: Sequence[_Told], outcomes: Sequence[_Outcomes]) -> None:
        """Call the dispatcher, if there is anything for it to look at."""
        pairs = (pair for each in zip(told, outcomes, strict=True) for pair in zip(*each, strict=True))
        if any(_is_taken(outcome) and _has_work(event, outcome) for (event, _), outcome in pairs):
            self._parts.notify()

    def _answer(self, name: str, told: _Told, outcomes: _Outcomes) -> Answer:
        taken = [(event, each) for (event, _), each in zip(told, outcomes, strict=True) if _is_taken(each)]
        self._tell_taken(name, taken)
        if len(taken) < len(outcomes):
            return self._not_taken(name, outcomes)
        return Answer(202, _body(taken))

    def _redacted(self, event: SourceEvent, body: str) -> tuple[SourceEvent, str]:
        alert, kept = redacted_webhook(self._parts.redactor, event.alert, body)
        return replace(event, alert=alert), kept

    def _tell_taken(self, name: str, taken: Sequence[tuple[SourceEvent, Accepted]]) -> None:
        for event, accepted in taken:
            log.info(
                "webhook_stored",
                source=name,
                event_name=event.name,
                source_id=event.source_id,
                outcome=accepted.acceptance.value,
                incident_id=accepted.incident_id,
            )
            self._parts.metrics.webhooks.labels(name, accepted.acceptance.value).inc()

    def _not_taken(self, name: str, outcomes: _Outcomes) -> Answer:
        """What is not stored its source still has; of what it sends again nothing is stored twice."""
        left = [each for each in outcomes if not _is_taken(each)]
        error = next((each for each in left if isinstance(each, Exception)), None)
        if error is not None and not isinstance(error, StoreError):
            return broke(error)
        part = f"{len(left)} of {len(outcomes)} are not stored: " if len(outcomes) > 1 else ""
        if error is not None:
            return self._no(name, store_down(error, part=part))
        most = self._parts.config.limits.backlog
        why = f"{part}{most} incidents wait for their turn already (limits.backlog); send it again later"
        return self._no(name, Refused(503, "backlog full", why, LATER_S))

    def _nothing(self, name: str, outcome: str, why: str) -> Answer:
        """Understood, and nothing follows from it."""
        log.info("webhook_not_stored", source=name, status=202, outcome=outcome, why=why)
        count(self._parts, name, outcome)
        return Answer(202, {"received": True, "outcome": why or outcome})

    def _no(self, name: str, refused: Refused) -> Answer:
        return refuse(self._parts, name, refused)


def _not_configured(name: str) -> Refused:
    if name == _UNKNOWN:
        return Refused(404, "not configured", "config.yaml has no source of this name")
    key = name if name == "pagerduty" else f"sources.{name}"
    return Refused(404, "not configured", f"config.yaml has no {key} section")


def _doubted(doubt: NotGenuine) -> Refused:
    if doubt.again:
        return Refused(503, "not proved", doubt.reason, LATER_S)
    return Refused(401, "not genuine", doubt.reason)


def _is_taken(outcome: Accepted | Exception) -> TypeGuard[Accepted]:
    return isinstance(outcome, Accepted) and outcome.acceptance is not Acceptance.BACKLOG_FULL


def _body(taken: Sequence[tuple[SourceEvent, Accepted]]) -> dict[str, object]:
    """What became of it; of many, what became of each."""
    each = [
        {"outcome": _WORDS[accepted.acceptance], "incident": accepted.incident_id or None}
        for _, accepted in taken
    ]
    if len(each) == 1:
        return {"received": True, **each[0]}
    alerts = [{"source_id": event.source_id, **one} for (event, _), one in zip(taken, each, strict=True)]
    return {"received": True, "outcome": f"{len(each)} alerts", "alerts": alerts}


def _has_work(event: SourceEvent, accepted: Accepted) -> bool:
    """Whether the dispatcher has anything to look at."""
    if accepted.acceptance is Acceptance.NEW_INCIDENT:
        return True
    is_news = event.type not in (EventType.TRIGGERED, EventType.OTHER)
    return accepted.acceptance is Acceptance.STORED and bool(accepted.incident_id) and is_news
