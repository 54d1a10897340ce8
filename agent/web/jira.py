"""`POST /webhook/jira`: verify over the raw bytes, do what follows in one transaction, answer 202."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, jsonify, request

from agent.adapters import jira_webhook
from agent.adapters.kept_secrets import KeptSecrets
from agent.config.jira import Jira
from agent.pipeline.queueing import desk_of
from agent.pipeline.ticket_answers import TicketDesk, heard
from agent.ports.sources import Malformed

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

_SOON_S = 2


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

    def receive(self) -> tuple[Response, int]:
        with self._parts.courtesy.answering():
            return self._receive()

    def _receive(self) -> tuple[Response, int]:
        raw = request.get_data(cache=False)
        if not self._parts.ready.is_set():
            why = "the agent is starting or stopping; send it again"
            response, status = self._answer(503, "not ready", why)
            response.headers["Retry-After"] = str(_SOON_S)
            return response, status
        section = self._parts.config.jira
        if section is None:
            return self._answer(404, "not configured", "config.yaml has no jira section")
        if not self._is_genuine(section, raw):
            return self._answer(401, "bad signature", "X-Hub-Signature is missing or matches no secret")
        change = jira_webhook.read(raw, request.headers.get("X-Atlassian-Webhook-Identifier", ""))
        if isinstance(change, Malformed):
            return self._answer(400, "malformed", change.reason)
        if change is None:
            return self._answer(202, "nothing to do", "")
        queue = desk_of(self._parts.config, self._parts.store, self._parts.redactor)
        outcome = heard(
            TicketDesk(section, self._parts.store, queue), change, now=self._parts.store.clock.now()
        )
        self._parts.notify()
        return self._answer(202, outcome, "")

    def _is_genuine(self, section: Jira, raw: bytes) -> bool:
        header = request.headers.get("X-Hub-Signature")
        if header is None:
            return section.allow_unsigned_webhooks
        return self._secrets.fit(lambda secrets: jira_webhook.verify(raw, header, secrets))

    def _answer(self, status: int, outcome: str, why: str) -> tuple[Response, int]:
        log.info("webhook_answered", source="jira", status=status, outcome=outcome, why=why)
        self._parts.metrics.webhooks.labels("jira", outcome.replace(" ", "_")).inc()
        body: dict[str, object] = {"received": status == 202, "outcome": outcome}
        return jsonify(body | ({"error": why} if why else {})), status
