"""`POST /webhook/keeptrusts`: proved by its token, stored with all that follows, then answered 202."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, request

from agent.adapters import keeptrusts_webhook as webhook
from agent.config.keeptrusts import Keeptrusts
from agent.domain.errors import StoreError
from agent.domain.keeptrusts import KeeptrustsResolution
from agent.pipeline import keeptrusts, queueing
from agent.pipeline.keeptrusts import KeeptrustsDesk, Taken
from agent.ports.sources import Malformed
from agent.web.refusals import NOT_READY, SOON_S, Refused, count, refuse, store_down
from agent.web.webhook_answer import Answer

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

#: The last part of the address says what a body without an `event_type` is.
_POSTED_AS = {"": "", "created": webhook.CREATED, "resolved": webhook.RESOLVED}


def blueprint(parts: WebParts) -> Blueprint:
    """The route, with and without the event type in its address."""
    routes = Blueprint("keeptrusts", __name__)
    counter = _Counter(parts)
    routes.post("/webhook/keeptrusts", endpoint="any")(lambda: counter.receive(""))
    routes.post("/webhook/keeptrusts/<posted_as>", endpoint="one")(counter.receive)
    return routes


class _Counter:
    """One webhook each, from its raw bytes to its answer."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._section = parts.config.keeptrusts
        self._tokens = None if self._section is None else webhook.Tokens(self._section)

    def receive(self, posted_as: str) -> Response:
        with self._parts.courtesy.answering():
            return self._receive(posted_as)

    def _receive(self, posted_as: str) -> Response:
        raw = request.get_data(cache=False)
        if not self._parts.ready.is_set():
            return self._refuse(NOT_READY)
        if self._section is None or self._tokens is None:
            return self._no(404, "not configured", "config.yaml has no keeptrusts section")
        if posted_as not in _POSTED_AS:
            return self._no(404, "not found", "the address ends in /created, /resolved or neither")
        token = request.args.get("token", "")
        missing = self._tokens.missing(request.headers.get("Authorization", ""), token)
        if missing is not None:
            return self._no(401, "not genuine", missing.reason)
        return self._take(self._section, raw, _POSTED_AS[posted_as])

    def _take(self, section: Keeptrusts, raw: bytes, posted_as: str) -> Response:
        read = webhook.read(raw, posted_as)
        if isinstance(read, Malformed):
            return self._no(400, "malformed", read.reason)
        if isinstance(read, webhook.Unwanted):
            return self._yes(f"nothing to do for {read.event_type}", "", "unwanted")
        desk, now = self._desk(section), self._parts.store.clock.now()
        try:
            if isinstance(read, KeeptrustsResolution):
                escalation_id, taken = read.escalation_id, keeptrusts.resolved(desk, read, now=now)
            else:
                escalation_id = read[0].escalation_id
                taken = keeptrusts.created(desk, *read, now=now)
        except StoreError as error:
            return self._refuse(store_down(error))
        if taken is Taken.CONTENDED:  # Keeptrusts still has it, and sends it again
            return self._refuse(Refused(503, "contended", f"{taken.value}; send it again", SOON_S))
        self._parts.notify()
        return self._yes(taken.value, escalation_id, taken.name.lower())

    def _desk(self, section: Keeptrusts) -> KeeptrustsDesk:
        parts = self._parts
        desk = queueing.desk_of(parts.config, parts.store, parts.redactor)
        return KeeptrustsDesk(parts.store, desk, parts.config, section)

    def _yes(self, outcome: str, escalation_id: str, label: str) -> Response:
        log.info("webhook_stored", source="keeptrusts", escalation=escalation_id, outcome=outcome)
        count(self._parts, "keeptrusts", label)
        body = {"received": True, "outcome": outcome, "escalation": escalation_id or None}
        return Answer(202, body).response()

    def _no(self, status: int, outcome: str, why: str) -> Response:
        return self._refuse(Refused(status, outcome, why))

    def _refuse(self, refused: Refused) -> Response:
        return refuse(self._parts, "keeptrusts", refused).response()
