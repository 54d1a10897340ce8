"""Simulated hooks: a workflow in Microsoft Teams, and any system that takes signed webhooks.

The workflow checks the form of a card as its readers would see it and how large a message may be; the
webhook checks the signature with code of its own, as docs/notifications.md tells its receivers to.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping

from flask import Flask, Response, jsonify, request

from agent.simulators.server import Simulator

#: learn.microsoft.com/connectors/teams, "Known issues and limitations"; 413 beyond it.
MESSAGE_MAX_BYTES = 28 * 1024

_TOLERANCE_S = 300
_CARD = "application/vnd.microsoft.card.adaptive"
_VERSIONS = ("1.2", "1.3", "1.4", "1.5")


class HooksSimulator(Simulator):
    """`teams_url` and `webhook_url` are what config.yaml names; both hold a secret as the real ones do."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.secret = "simulated-hook-secret"  # noqa: S105  (what its receivers share with a test)
        self.cards: list[Mapping[str, object]] = []
        self.notifications: list[Mapping[str, object]] = []
        app = Flask("simulated-hooks")
        app.add_url_rule(
            "/workflows/<flow>/triggers/manual/paths/invoke", "flow", self._flow, methods=["POST"]
        )
        app.add_url_rule("/hooks/<token>", "hook", self._hook, methods=["POST"])
        super().__init__(app, host=host, port=port)
        self.signature = "flow-signature-canary-000"
        self.token = "hook-token-canary-000"  # noqa: S105  (what a test looks for in logs)
        flow = f"{self.url}/workflows/0f1e2d3c/triggers/manual/paths/invoke"
        self.teams_url = f"{flow}?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sig={self.signature}"
        self.webhook_url = f"{self.url}/hooks/{self.token}"

    def shown(self) -> list[str]:
        """What a reader of the channel sees of each card: its texts, a line a block."""
        return ["\n".join(_lines(card)) for card in self.cards]

    def _flow(self, flow: str) -> tuple[Response, int]:  # noqa: ARG002
        if request.args.get("sig") != self.signature:
            return _error(401, "DirectApiAuthorizationRequired", "The request must be authenticated")
        raw = request.get_data()
        if len(raw) > MESSAGE_MAX_BYTES:
            return _error(413, "RequestEntityTooLarge", "Request Entity too large")
        problems = list(_message_problems(_object(raw)))
        if problems:
            return _error(400, "TriggerInputSchemaMismatch", "; ".join(problems))
        attachments = _object(raw)["attachments"]
        self.cards.append(attachments[0]["content"])  # type: ignore[index]
        return Response(status=202), 202

    def _hook(self, token: str) -> tuple[Response, int]:
        if token != self.token:
            return _error(404, "NotFound", "there is no such hook")
        raw = request.get_data()
        if not self._is_signed(raw, request.headers.get("X-Oncall-Signature", "")):
            return _error(401, "Unauthorized", "the signature does not hold")
        body = _object(raw)
        self.notifications.append(body)
        return jsonify({"received": True}), 202

    def _is_signed(self, raw: bytes, header: str) -> bool:
        parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
        at = parts.get("t", "")
        wanted = hmac.new(self.secret.encode(), f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, parts.get("v1", "")):
            return False
        return at.isdigit() and abs(time.time() - int(at)) <= _TOLERANCE_S


def _message_problems(message: Mapping[str, object]) -> Iterator[str]:
    if message.get("type") != "message":
        yield "type must be message"
    attachments = message.get("attachments")
    if not isinstance(attachments, list) or len(attachments) != 1 or not isinstance(attachments[0], dict):
        yield "attachments must hold one card"
        return
    if attachments[0].get("contentType") != _CARD:
        yield f"contentType must be {_CARD}"
    content = attachments[0].get("content")
    if not isinstance(content, dict):
        yield "content must be a card"
        return
    yield from _card_problems(content)


def _card_problems(card: Mapping[str, object]) -> Iterator[str]:
    if card.get("type") != "AdaptiveCard" or card.get("version") not in _VERSIONS:
        yield f"content must be an AdaptiveCard of version {' or '.join(_VERSIONS)}"
    body = card.get("body")
    blocks = body if isinstance(body, list) else []
    if not blocks:
        yield "a card must have a body"
    for block in blocks:
        if not isinstance(block, dict) or block.get("type") != "RichTextBlock":
            yield "texts must stand in a RichTextBlock: a TextBlock reads them as Markdown"
        elif not all(_is_run(each) for each in block.get("inlines") or [None]):
            yield "a RichTextBlock holds TextRuns with text"
    actions = card.get("actions")
    for action in actions if isinstance(actions, list) else []:
        is_link = action.get("type") == "Action.OpenUrl" and action.get("title")
        if not is_link or not str(action.get("url")).startswith(("http://", "https://")):
            yield "an action must be an Action.OpenUrl with title and url"


def _is_run(inline: object) -> bool:
    return (
        isinstance(inline, dict) and inline.get("type") == "TextRun" and isinstance(inline.get("text"), str)
    )


def _lines(card: Mapping[str, object]) -> Iterator[str]:
    body = card["body"]
    for block in body if isinstance(body, list) else []:
        yield "".join(run["text"] for run in block["inlines"])


def _object(raw: bytes) -> Mapping[str, object]:
    try:
        data = json.loads(raw)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _error(status: int, code: str, message: str) -> tuple[Response, int]:
    return jsonify({"error": {"code": code, "message": message}}), status
