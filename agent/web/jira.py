"""`POST /webhook/jira`: verify over the raw bytes, do what follows in one transaction, answer 202."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, request

from agent.adapters import jira_webhook
from agent.adapters.kept_secrets import KeptSecrets
from agent.config.jira import Jira
from agent.pipeline.queueing import desk_of
from agent.pipeline.ticket_answers import TicketDesk, heard
from agent.ports.sources import Malformed
from agent.web.refusals import NOT_READY, Refused, count, refuse
from agent.web.webhook_answer import Answer

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

_TOLD_AS = "webhook_answered"
_NOT_GENUINE = Refused(401, "bad signature", "X-Hub-Signature is missing or matches no secret")


def blueprint(parts: WebParts) -> Blueprint:
    """`POST /webhook/jira`."""
    routes = Blueprint("jira", __name__)
    routes.post("/webhook/jira", endpoint="jira")(_JiraDesk(parts).receive)
    return routes


class _JiraDesk:
    """Where Jira's webhooks come in. A store that is down is answered 503: Cloud sends it again."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        section = parts.config.jira
        self._secrets = KeptSecrets(() if section is None else section.webhook_secrets)

    def receive(self) -> Response:
        with self._parts.courtesy.answering():
            return self._receive()

    def _receive(self) -> Response:
        raw = request.get_data(cache=False)
        if not self._parts.ready.is_set():
            return self._refuse(NOT_READY)
        section = self._parts.config.jira
        if section is None:
            return self._refuse(Refused(404, "not configured", "config.yaml has no jira section"))
        if not self._is_genuine(section, raw):
            return self._refuse(_NOT_GENUINE)
        change = jira_webhook.read(raw, request.headers.get("X-Atlassian-Webhook-Identifier", ""))
        if isinstance(change, Malformed):
            return self._refuse(Refused(400, "malformed", change.reason))
        if change is None:
            return self._taken("nothing to do")
        queue = desk_of(self._parts.config, self._parts.store, self._parts.redactor)
        outcome = heard(
            TicketDesk(section, self._parts.store, queue), change, now=self._parts.store.clock.now()
        )
        self._parts.notify()
        return self._taken(outcome)

    def _is_genuine(self, section: Jira, raw: bytes) -> bool:
        header = request.headers.get("X-Hub-Signature")
        if header is None:
            return section.allow_unsigned_webhooks
        return self._secrets.fit(lambda secrets: jira_webhook.verify(raw, header, secrets))

    def _taken(self, outcome: str) -> Response:
        log.info(_TOLD_AS, source="jira", status=202, outcome=outcome, why="")
        count(self._parts, "jira", outcome)
        return Answer(202, {"received": True, "outcome": outcome}).response()

    def _refuse(self, refused: Refused) -> Response:
        return refuse(self._parts, "jira", refused, told_as=_TOLD_AS).response()
