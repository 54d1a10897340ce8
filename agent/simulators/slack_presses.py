"""People who press buttons and type commands in the simulated Slack: it goes out signed, as Slack sends it.

What is sent can be had as it goes over the wire, to send it again, too late, changed, or from elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

import httpx
from flask import Flask, Response, jsonify, request

from agent.simulators.slack_people import SlackPeopleDesk
from agent.simulators.slack_socket import SlackSockets
from agent.simulators.slack_workspace import TEAM_ID, SlackMessage, Workspace

SIGNING_SECRET = "simulated-signing-secret"  # noqa: S105  (made up; opens nothing)
APP_ID = "A0SIMULATE"

#: Who presses at a terminal, if nobody else is named.
_YOU = "U0YOU"

#: A response_url takes so many posts (documentation page "Handling user interaction").
_MOST_REPLIES = 5
_ANSWER_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class Wire:
    """One request as it goes to the agent."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answered:
    """What the agent answered; status 0: not within Slack's time, the person sees an error."""

    status: int
    body: str

    @property
    def words(self) -> str:
        """The message in it, if it is one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return self.body
        return str(found.get("text", found.get("error", ""))) if isinstance(found, dict) else self.body


@dataclass(frozen=True, slots=True)
class Whisper:
    """What only the person who pressed reads."""

    user_id: str
    text: str


@dataclass(slots=True)
class SlackHands:
    """Presses and types for people; `agent_url` is where the app's interactivity points to."""

    workspace: Workspace
    people: SlackPeopleDesk
    signing_secret: str = SIGNING_SECRET
    sockets: SlackSockets = field(default_factory=SlackSockets)
    agent_url: str = ""
    base_url: str = ""
    now: Callable[[], float] = time.time
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _urls: dict[str, tuple[str, int]] = field(default_factory=dict)
    _whispers: list[Whisper] = field(default_factory=list)

    def press(self, user_id: str, message_ts: str, action_id: str) -> Answered:
        """Somebody presses the button whose action_id begins so, as it stands there now."""
        return self.send(self.pressing(user_id, self.message(message_ts), action_id))

    def type(self, user_id: str, text: str, *, team_id: str = TEAM_ID) -> Answered:
        """Somebody types `/oncall TEXT`."""
        return self.send(self.typing(user_id, text, team_id=team_id))

    def message(self, ts: str) -> SlackMessage:
        """The message with this ts."""
        return next(each for each in self.workspace.messages() if each.ts == ts)

    def pressing(
        self, user_id: str, message: SlackMessage, action_id: str, *, team_id: str = TEAM_ID
    ) -> Wire:
        """The request that a press makes; LookupError if the message has no such button."""
        return self.interaction(self.payload(user_id, message, action_id, team_id=team_id))

    def payload(
        self, user_id: str, message: SlackMessage, action_id: str, *, team_id: str = TEAM_ID
    ) -> dict[str, object]:
        """What Slack says of a press."""
        user, number = self.people.user(user_id), next(self._count)
        return {
            "type": "block_actions",
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
            "api_app_id": APP_ID,
            "token": "verification_token",
            "container": {
                "type": "message",
                "message_ts": message.ts,
                "channel_id": message.channel_id,
                "is_ephemeral": False,
            },
            "trigger_id": f"{number}.{number}.simulated",
            "team": {"id": team_id, "domain": "simulated"},
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": message.channel_id, "name": self.workspace.channel(message.channel_id).name},
            "message": {"type": "message", "ts": message.ts, "text": message.text},
            "response_url": self._response_url(user_id),
            "actions": [{**_button(message, action_id), "action_ts": f"{self.now():.6f}{number}"}],
        }

    def interaction(self, payload: Mapping[str, object]) -> Wire:
        """Any payload, signed."""
        return self.signed("/slack/interactions", urlencode({"payload": json.dumps(payload)}).encode())

    def typing(self, user_id: str, text: str, *, team_id: str = TEAM_ID) -> Wire:
        """The request that a typed command makes."""
        return self.signed("/slack/commands", urlencode(self.fields(user_id, text, team_id=team_id)).encode())

    def fields(self, user_id: str, text: str, *, team_id: str = TEAM_ID) -> dict[str, str]:
        """What Slack says of a typed command."""
        user, number = self.people.user(user_id), next(self._count)
        return {
            "token": "verification_token",
            "team_id": team_id,
            "team_domain": "simulated",
            "channel_id": self.workspace.channels()[0].id,
            "channel_name": self.workspace.channels()[0].name,
            "user_id": user.id,
            "user_name": user.name,
            "command": "/oncall",
            "text": text,
            "api_app_id": APP_ID,
            "is_enterprise_install": "false",
            "response_url": self._response_url(user_id),
            "trigger_id": f"{number}.{number}.simulated",
        }

    def signed(self, path: str, body: bytes, *, at: float | None = None, secret: str = "") -> Wire:
        """A body with Slack's signature over it, made at this time."""
        stamp = str(int(self.now() if at is None else at))
        key = (secret or self.signing_secret).encode()
        made = hmac.new(key, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={made}",
        }
        return Wire(path, body, headers)

    def send(self, wire: Wire) -> Answered:
        """Send it, once: Slack does not send a press again. An app in Socket Mode has no address."""
        if not self.agent_url:
            return self._by_socket(wire)
        try:
            answer = httpx.post(
                f"{self.agent_url}{wire.path}",
                content=wire.body,
                headers=dict(wire.headers),
                timeout=_ANSWER_WITHIN_S,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            return Answered(0, type(error).__name__)
        return Answered(answer.status_code, answer.text)

    def _by_socket(self, wire: Wire) -> Answered:
        fields = dict(parse_qsl(wire.body.decode(), keep_blank_values=True))
        is_press = "payload" in fields
        payload = json.loads(fields["payload"]) if is_press else fields
        ack = self.sockets.envelope("interactive" if is_press else "slash_commands", payload)
        if ack is None:
            return Answered(0, "not acknowledged")
        return Answered(200, json.dumps(ack.get("payload")) if "payload" in ack else "")

    def whispers(self, user_id: str = "") -> list[str]:
        """What was said to this person alone (to anybody alone without one), oldest first."""
        with self._lock:
            return [each.text for each in self._whispers if user_id in ("", each.user_id)]

    def serve(self, app: Flask) -> None:
        """The response_urls."""

        @app.post("/actions/<name>")
        def reply(name: str) -> Response:
            body = request.get_json(silent=True)
            with self._lock:
                user_id, left = self._urls.get(name, ("", 0))
                if left <= 0 or not isinstance(body, dict):
                    return Response("used_url" if user_id else "expired_url", status=404)
                self._urls[name] = (user_id, left - 1)
                self._whispers.append(Whisper(user_id, str(body.get("text", ""))))
            return Response("ok")

    def serve_controls(self, app: Flask) -> None:
        """A person at a terminal presses the newest button of this kind, or types `/oncall`."""

        @app.post("/_sim/press")
        def press() -> tuple[Response, int]:
            action = f"oncall:{request.form.get('action', 'approve')}"
            shown = [
                each
                for each in self.workspace.messages()
                if any(button.startswith(action) for button in buttons(each))
            ]
            if not shown:
                return Response(f"no message has a button {action}\n", mimetype="text/plain"), 404
            return _told(self.press(request.form.get("user", _YOU), shown[-1].ts, action))

        @app.post("/_sim/type")
        def type_() -> tuple[Response, int]:
            return _told(self.type(request.form.get("user", _YOU), request.form.get("text", "help")))

        @app.get("/_sim/whispers")
        def whispers() -> Response:
            return jsonify(self.whispers(request.args.get("user", "")))

    def _response_url(self, user_id: str) -> str:
        name = f"{TEAM_ID}-{next(self._count)}"
        with self._lock:
            self._urls[name] = (user_id, _MOST_REPLIES)
        return f"{self.base_url}/actions/{name}"


def _told(answer: Answered) -> tuple[Response, int]:
    words = answer.words or "pressed; what came of it stands in the thread and under /_sim/whispers"
    return Response(f"{words}\n", mimetype="text/plain"), answer.status or 504


def tampered(wire: Wire, old: bytes, new: bytes) -> Wire:
    """The same request with something else in its body, under the old signature."""
    changed = wire.body.replace(old, new)
    if changed == wire.body:
        raise LookupError(f"{old!r} is not in the body")
    return replace(wire, body=changed)


def buttons(message: SlackMessage) -> list[str]:
    """The action_ids of the buttons that a message shows."""
    return [str(each["action_id"]) for each in _buttons(message)]


def _buttons(message: SlackMessage) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    for block in message.blocks:
        elements = block.get("elements")
        if block.get("type") == "actions" and isinstance(elements, list):
            found += [each for each in elements if each.get("type") == "button"]
    return found


def _button(message: SlackMessage, action_id: str) -> dict[str, object]:
    for each in _buttons(message):
        if str(each["action_id"]).startswith(action_id):
            return {"type": "button", "block_id": "b1", **{k: v for k, v in each.items() if k != "style"}}
    raise LookupError(f"the message has no button {action_id}: {buttons(message)}")
