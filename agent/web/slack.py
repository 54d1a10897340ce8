"""`POST /slack/interactions` and `/slack/commands`: signed by Slack, fresh, decided, then answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import structlog
from flask import Blueprint, Response, abort, jsonify, request

from agent.adapters import slack_signing
from agent.adapters.kept_secrets import KeptSecrets
from agent.config.secrets import SecretReference
from agent.web.slack_face import SlackFace
from agent.web.slack_payloads import MAX_BODY_BYTES, UnreadableError, fields_of, payload_of

if TYPE_CHECKING:
    from agent.web.app import WebParts

T = TypeVar("T")

log = structlog.get_logger()

_NOT_SET_UP = "config.yaml has no slack.signing_secret: nothing is taken from Slack here (docs/slack.md)"


def blueprint(parts: WebParts) -> Blueprint:
    """Both addresses, for which Slack has one signing secret."""
    routes = Blueprint("slack", __name__)
    gate = _Gate(parts)
    routes.post("/slack/interactions", endpoint="interactions")(gate.interactions)
    routes.post("/slack/commands", endpoint="commands")(gate.commands)
    return routes


class _Secret:
    """The signing secret that is in force now."""

    def __init__(self, reference: SecretReference) -> None:
        self._secrets = KeptSecrets([reference])

    def signed(self, raw: bytes, timestamp: str, given: str) -> bool:
        try:
            return self._secrets.fit(
                lambda secrets: any(slack_signing.is_signed(raw, timestamp, given, each) for each in secrets)
            )
        except ValueError as error:
            log.error("slack_secret_missing", error=str(error))  # noqa: TRY400 - its words say all
            return False


class _Gate:
    """What comes in by HTTP, each from its raw bytes to its answer."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        section = parts.config.slack
        self._secret = None
        self._face: SlackFace | None = None
        if section is not None and section.signing_secret is not None:
            self._secret = _Secret(section.signing_secret)

    def interactions(self) -> tuple[Response, int]:
        """A press: Slack wants an empty answer; what came of it is told by the response_url."""
        with self._parts.courtesy.answering():
            raw = self._verified()
            self._slack_face().interaction(_readable(payload_of, raw))
            return Response(""), 200

    def commands(self) -> tuple[Response, int]:
        """A typed command: the answer is the message, for the one who typed it alone."""
        with self._parts.courtesy.answering():
            fields = _readable(fields_of, self._verified())
            if "ssl_check" in fields:
                return Response(""), 200  # Slack asks from time to time whether anybody is there
            words = self._slack_face().command(fields)
            return jsonify({"response_type": "ephemeral", "text": words}), 200

    def _verified(self) -> bytes:
        request.max_content_length = MAX_BODY_BYTES
        raw = request.get_data(cache=False)
        if self._secret is None:
            abort(404, _NOT_SET_UP)
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        now = self._parts.store.clock.now().timestamp()
        if why := slack_signing.problem_with_time(timestamp, now=now):
            self._refused(why)
        if not self._secret.signed(raw, timestamp, request.headers.get("X-Slack-Signature", "")):
            self._refused("X-Slack-Signature is missing or does not fit slack.signing_secret")
        if not self._parts.ready.is_set():
            abort(503, "the agent is starting or stopping; press again")
        return raw

    def _refused(self, why: str) -> NoReturn:
        log.warning("slack_request_refused", why=why)
        abort(401, why)

    def _slack_face(self) -> SlackFace:
        """Made with the first request: secrets are fetched by then."""
        if self._face is None:
            section = self._parts.config.slack
            if section is None:
                abort(404, _NOT_SET_UP)
            self._face = SlackFace(self._parts, section)
        return self._face


def _readable(read: Callable[[bytes], T], raw: bytes) -> T:
    """Signed and not to be read: Slack has changed something, or another app has our secret."""
    try:
        return read(raw)
    except UnreadableError as error:
        log.warning("slack_request_unreadable", why=str(error))
        abort(400, str(error))
