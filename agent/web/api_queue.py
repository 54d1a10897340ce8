"""`/api/v1/escalations`: the queue, and what a human does with an escalation.

The same functions as for the command line, the console and Slack; who may do what is asked by them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from flask import Blueprint, Response, abort, jsonify, request

from agent.adapters.json_view import clean
from agent.domain.people import Deed
from agent.domain.queue import Escalated, Origin, QueueFilter, QueueStatus, Rank
from agent.escalations.claims import Changed, NotPossible
from agent.escalations.entering import Received
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.reports.sla import as_json
from agent.web import bodies, identity, queue_bodies, queue_views

if TYPE_CHECKING:
    from agent.web.app import WebParts

_MAX_PAGE = 500
_MAX_DAYS = 3_660

W = TypeVar("W", QueueStatus, Rank, Origin)


def blueprint(parts: WebParts) -> Blueprint:
    """Reading and changing the queue."""
    routes = Blueprint("queue", __name__, url_prefix="/api/v1/escalations")
    counter = _Counter(parts)

    @routes.before_request
    def only_who_may() -> None:
        identity.check_reader_or_writer(parts)

    @routes.get("")
    def listed() -> Response:
        return counter.shown(queue_views.page(parts.store, asked(), parts.store.clock.now()))

    @routes.get("/report")
    def report() -> Response:
        now = parts.store.clock.now()
        since = now - timedelta(days=_days())
        with parts.room.taken():
            found = parts.store.queue_report(since, now, origin=_one_of("origin", Origin))
            return counter.shown(as_json(found))

    @routes.get("/<item_id>")
    def one(item_id: str) -> Response:
        found = counter.found(item_id)
        return counter.shown(queue_views.whole(parts.store, found, parts.store.clock.now()))

    @routes.post("")
    def receive() -> tuple[Response, int]:
        return counter.receive()

    _add_deeds(routes, counter)
    return routes


def _add_deeds(routes: Blueprint, counter: _Counter) -> None:
    @routes.post("/<item_id>/claim")
    def claim(item_id: str) -> Response:
        return counter.claim(item_id)

    @routes.post("/<item_id>/release")
    def release(item_id: str) -> Response:
        return counter.release(item_id)

    @routes.post("/<item_id>/reassign")
    def reassign(item_id: str) -> Response:
        return counter.reassign(item_id)

    @routes.post("/<item_id>/further")
    def further(item_id: str) -> Response:
        return counter.further(item_id)

    @routes.post("/<item_id>/resolve")
    def resolve(item_id: str) -> Response:
        return counter.resolve(item_id)


class _Counter:
    """One request each: read what it says, do it, show how it is now."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._store = parts.store

    def found(self, item_id: str) -> Escalated:
        found = self._store.queue_item(clean(item_id)[:200])
        if found is None:
            abort(404, "there is no such escalation; `GET /api/v1/escalations` lists them")
        return found

    def claim(self, item_id: str) -> Response:
        bodies.read(queue_bodies.Claim)
        actor = identity.actor(self._parts, Deed.CLAIM)
        found = self.found(item_id)
        return self._changed(queueing.claim(self._desk(), found.id, actor, now=self._now()))

    def release(self, item_id: str) -> Response:
        bodies.read(queue_bodies.Release)
        actor = identity.actor(self._parts, Deed.CLAIM)
        found = self.found(item_id)
        return self._changed(queueing.release(self._desk(), found.id, actor, now=self._now()))

    def reassign(self, item_id: str) -> Response:
        body = bodies.read(queue_bodies.Reassign)
        actor = identity.actor(self._parts, Deed.REASSIGN)
        found = self.found(item_id)
        return self._changed(queueing.reassign(self._desk(), found.id, actor, to=body.to, now=self._now()))

    def further(self, item_id: str) -> Response:
        body = bodies.read(queue_bodies.Further)
        actor = identity.actor(self._parts, Deed.SETTLE)
        found = self.found(item_id)
        return self._changed(
            queueing.escalate_further(
                self._desk(), found.id, actor, to=body.to, note=body.note, now=self._now()
            )
        )

    def resolve(self, item_id: str) -> Response:
        body = bodies.read(queue_bodies.Resolve)
        actor = identity.actor(self._parts, Deed.SETTLE)
        found = self.found(item_id)
        settling = Settling(body.action, body.note, body.runbook, body.what_was_done)
        return self._changed(queueing.resolve(self._desk(), found.id, actor, settling, now=self._now()))

    def receive(self) -> tuple[Response, int]:
        request.max_content_length = queue_bodies.MAX_RECEIVED_BYTES
        body = bodies.read(queue_bodies.Receive)
        identity.actor(self._parts, Deed.MANAGE)
        what = Received(
            body.id,
            body.trigger,
            body.title,
            body.severity,
            policy_rule=body.policy_rule,
            service=body.service,
            team=body.team,
            consumer=body.consumer,
            consumer_group=body.consumer_group,
            facts=body.facts,
        )
        found, is_new = queueing.received(self._desk(), what, now=self._now())
        self._parts.notify()
        return self._shown_item(found), 201 if is_new else 200

    def shown(self, data: dict[str, object]) -> Response:
        return jsonify(self._parts.redactor.value(data))

    def _changed(self, answer: Changed) -> Response:
        if isinstance(answer, NotPossible):
            abort(409, self._parts.redactor.text(answer.why))
        self._parts.notify()
        return self._shown_item(answer)

    def _shown_item(self, found: Escalated) -> Response:
        return self.shown(queue_views.item(found, self._now()))

    def _desk(self) -> QueueDesk:
        return queueing.desk_of(self._parts.config, self._store, self._parts.redactor)

    def _now(self) -> datetime:
        return self._store.clock.now()


def asked() -> QueueFilter:
    """What the query of this request asks of the queue; 400 for what is no such thing."""
    status = _one_of("status", QueueStatus)
    return QueueFilter(
        settled=status is not None and status.is_over,
        status=status,
        rank=_one_of("severity", Rank),
        origin=_one_of("origin", Origin),
        trigger=_text("trigger"),
        service=_text("service"),
        runbook=_text("runbook"),
        assignee=_text("assignee"),
        targets=(target,) if (target := _text("target")) else (),
        text=_text("text"),
        after=_text("after"),
        limit=_number("limit", 100, _MAX_PAGE),
    )


def _one_of(name: str, kind: type[W]) -> W | None:
    given = request.args.get(name)
    if given is None:
        return None
    if given not in set(kind):
        abort(400, f"{name} must be one of {', '.join(kind)}")
    return kind(given)


def _text(name: str) -> str:
    given = request.args.get(name, "")
    if len(given) > _MAX_PAGE:
        abort(400, f"{name} is too long")
    return clean(given)


def _days() -> int:
    return _number("days", 30, _MAX_DAYS)


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    is_short = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not is_short or not 0 < int(text) <= most:
        abort(400, f"{name} must be a number from 1 to {most}")
    return int(text)
