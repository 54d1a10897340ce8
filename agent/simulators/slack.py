"""A Slack on loopback: the Web API methods that we use and an incoming webhook, refusing what Slack refuses.

    with SlackSimulator() as slack:
        chat = SlackChat(slack.api_url, slack.bot_token, "#incidents")
        chat.post_root(card)
        print(slack.transcript())

HTTP 200 with ok:false is the usual refusal; only rates are 429. `GET /_sim/messages` and `/_sim/transcript`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Self

from flask import Flask, Response, jsonify, request

from agent.simulators.server import Simulator
from agent.simulators.slack_history import History, wants_metadata
from agent.simulators.slack_people import SlackPeopleDesk, SlackUser
from agent.simulators.slack_presses import SlackHands
from agent.simulators.slack_socket import SlackSockets
from agent.simulators.slack_workspace import (
    BOT_ID,
    BOT_USER_ID,
    TEAM_ID,
    Draft,
    RateLimit,
    SlackChannel,
    SlackMessage,
    SlackRefusalError,
    TooManyError,
    Workspace,
)

__all__ = ["RateLimit", "SlackChannel", "SlackMessage", "SlackSimulator", "SlackUser"]

BOT_TOKEN = "xoxb-simulated-token"  # noqa: S105  (made up; opens nothing)
WEBHOOK_PATH = "/services/T0SIMULATE/B0SIMULATE/simulatedWebhookSecret"
SCOPES = (
    *("chat:write", "chat:write.public", "channels:read", "channels:history"),
    *("commands", "users:read", "users:read.email", "usergroups:read"),
)
# "Improving error conditions for incoming webhooks" and later codes: the status that goes with the text.
_WEBHOOK_STATUS = {
    "channel_not_found": (404, "channel_not_found"),
    "is_archived": (410, "channel_is_archived"),
    "not_in_channel": (403, "action_prohibited"),
}

#: The one method that wants the app-level token.
_OPEN_SOCKET = "apps.connections.open"

Args = Mapping[str, object]


class SlackSimulator(Simulator):
    """One workspace with one bot and one incoming webhook (which posts to the first channel).

    `rate_limit` makes it refuse more than about one message a second for a channel, as Slack does;
    `history_limit` and `history_page` are those of reading back.
    """

    def __init__(
        self,
        *,
        bot_token: str = BOT_TOKEN,
        scopes: Sequence[str] = SCOPES,
        channels: Sequence[str] = ("incidents",),
        rate_limit: RateLimit | None = None,
        history_limit: RateLimit | None = None,
        history_page: int = 999,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.bot_token = bot_token
        self.scopes = tuple(scopes)
        self.workspace = Workspace(channels, rate_limit)
        self._history = History(self.workspace, self.scopes, history_limit, history_page)
        self.people = SlackPeopleDesk(self.scopes)
        self.sockets = SlackSockets()
        self.hands = SlackHands(self.workspace, self.people, sockets=self.sockets)
        self._webhook_channel = channels[0]
        app = Flask("slack-simulator")
        self._serve_api(app)
        self._serve_webhook(app)
        self._serve_controls(app)
        self.hands.serve(app)
        self.hands.serve_controls(app)
        self.sockets.serve(app)
        super().__init__(app, host=host, port=port)
        self.hands.base_url = self.sockets.base_url = self.url

    def __enter__(self) -> Self:
        self.start()
        return self

    @property
    def api_url(self) -> str:
        """What goes into slack.api_url."""
        return f"{self.url}/api/"

    @property
    def webhook_url(self) -> str:
        """What goes into slack.webhook_url."""
        return f"{self.url}{WEBHOOK_PATH}"

    def messages(self, channel: str = "") -> list[SlackMessage]:
        """What stands in a channel (in all of them without a name), replies included, oldest first."""
        return self.workspace.messages(channel)

    def roots(self, channel: str = "") -> list[SlackMessage]:
        """The messages that are no replies."""
        return [message for message in self.messages(channel) if not message.thread_ts]

    def thread(self, ts: str) -> list[SlackMessage]:
        """A root message and its replies, by the root's ts or by "CHANNEL_ID:TS"."""
        wanted = ts.rpartition(":")[2]
        return [message for message in self.messages() if wanted in (message.ts, message.thread_ts)]

    def transcript(self) -> str:
        """Everything that people see, as text: channels, root messages, replies under them."""
        lines: list[str] = []
        for channel in self.workspace.channels():
            lines.append(f"#{channel.name}")
            for root in self.roots(channel.id):
                lines += _as_text(root, "  ")
                for reply in self.thread(root.ts)[1:]:
                    lines += _as_text(reply, "    ↳ ")
        return "\n".join(lines) + "\n"

    def _serve_api(self, app: Flask) -> None:
        methods: dict[str, Callable[[Args], dict[str, object]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "conversations.list": self._list,
            "conversations.info": self._info,
            "conversations.history": self._channel_history,
            "conversations.replies": self._replies,
            **self.people.methods(),
            _OPEN_SOCKET: self.sockets.open,
        }

        @app.route("/api/<method>", methods=["GET", "POST"])
        def call(method: str) -> Response:
            try:
                args = _arguments()
                self._authenticate(args, self.sockets.app_token if method == _OPEN_SOCKET else self.bot_token)
                if method not in methods:
                    raise SlackRefusalError("unknown_method", req_method=method)
                answer = jsonify({"ok": True, **methods[method](args)})
            except SlackRefusalError as refusal:
                answer = jsonify({"ok": False, "error": refusal.code, **refusal.more})
            except TooManyError as error:
                answer = jsonify({"ok": False, "error": "ratelimited"})
                answer.status_code = 429
                answer.headers["Retry-After"] = str(error.after_s)
            answer.headers["X-OAuth-Scopes"] = ",".join(self.scopes)
            return answer

    def _serve_webhook(self, app: Flask) -> None:
        @app.post("/services/<path:secret>")
        def hook(secret: str) -> Response:
            if f"/services/{secret}" != WEBHOOK_PATH:
                return _words("no_service", 404)
            body = _webhook_body()
            if body is None:
                return _words("invalid_payload", 400)
            draft = Draft(text=_text(body, "text"), blocks=body.get("blocks"), via="webhook")
            try:
                self.workspace.post(self._webhook_channel, draft, scopes=("chat:write.public",))
            except SlackRefusalError as refusal:
                status, words = _WEBHOOK_STATUS.get(refusal.code, (400, refusal.code))
                return _words(words, status)
            except TooManyError as error:
                answer = _words("rate_limited", 429)
                answer.headers["Retry-After"] = str(error.after_s)
                return answer
            return _words("ok", 200)

    def _serve_controls(self, app: Flask) -> None:
        @app.get("/_sim/messages")
        def messages() -> Response:
            found = self.messages(request.args.get("channel", ""))
            return jsonify([{**asdict(each), "edits": each.edits, "shown": each.shown} for each in found])

        @app.delete("/_sim/messages")
        def clear() -> Response:
            self.workspace.clear()
            return jsonify({"ok": True})

        @app.get("/_sim/transcript")
        def transcript() -> Response:
            return _words(self.transcript(), 200)

        @app.errorhandler(SlackRefusalError)
        def refused(refusal: SlackRefusalError) -> tuple[Response, int]:
            return jsonify({"ok": False, "error": refusal.code}), 404

    def _authenticate(self, args: Args, expected: str) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        token = given or (_text(args, "token") if not request.is_json else "")
        if not token:
            raise SlackRefusalError("not_authed")
        if token != expected:
            raise SlackRefusalError("invalid_auth")

    def _need(self, scope: str) -> None:
        if scope not in self.scopes:
            raise SlackRefusalError("missing_scope", needed=scope, provided=",".join(self.scopes))

    def _auth_test(self, _: Args) -> dict[str, object]:
        return {
            "url": "https://simulated.slack.com/",
            "team": "simulated",
            "user": "oncall",
            "team_id": TEAM_ID,
            "user_id": BOT_USER_ID,
            "bot_id": BOT_ID,
            "is_enterprise_install": False,
        }

    def _post_message(self, args: Args) -> dict[str, object]:
        self._need("chat:write")
        draft = _draft(args)
        message = self.workspace.post(_required(args, "channel"), draft, scopes=self.scopes)
        return {"channel": message.channel_id, "ts": message.ts, "message": _shape(message)}

    def _update(self, args: Args) -> dict[str, object]:
        self._need("chat:write")
        message = self.workspace.update(_required(args, "channel"), _required(args, "ts"), _draft(args))
        told = {"channel": message.channel_id, "ts": message.ts, "text": message.text}
        return {**told, "message": _shape(message)}

    def _list(self, args: Args) -> dict[str, object]:
        kinds = (_text(args, "types") or "public_channel").split(",")
        self._need("groups:read" if kinds == ["private_channel"] else "channels:read")
        size = int(_text(args, "limit") or 100)
        start = int(_text(args, "cursor") or 0)
        visible = [each for each in self.workspace.channels() if _is_visible(each, kinds)]
        following = str(start + size) if start + size < len(visible) else ""
        page = [_channel_shape(each) for each in visible[start : start + size]]
        return {"channels": page, "response_metadata": {"next_cursor": following}}

    def _info(self, args: Args) -> dict[str, object]:
        wanted = _required(args, "channel")
        found = next((each for each in self.workspace.channels() if each.id == wanted), None)
        self._need("groups:read" if found and found.is_private else "channels:read")
        if found is None or (found.is_private and not found.is_member):
            raise SlackRefusalError("channel_not_found")
        return {"channel": _channel_shape(found)}

    def _channel_history(self, args: Args) -> dict[str, object]:
        found, told = self._history.channel(args)
        counts = {"pin_count": 0, "channel_actions_ts": None, "channel_actions_count": 0}
        return {"messages": _shapes(found, args), **told, **counts}

    def _replies(self, args: Args) -> dict[str, object]:
        found, told = self._history.thread(args)
        return {"messages": _shapes(found, args), **told}


def _arguments() -> Args:
    """The arguments of a call: a JSON body, else form fields and the query."""
    if not request.is_json:
        return {**request.args.to_dict(), **request.form.to_dict()}
    try:
        body = json.loads(request.get_data() or b"{}")
    except ValueError:
        raise SlackRefusalError("invalid_json") from None
    if not isinstance(body, dict):
        raise SlackRefusalError("json_not_object")
    return body


def _webhook_body() -> Args | None:
    raw = request.form.get("payload", "") if request.form else request.get_data(as_text=True)
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _draft(args: Args) -> Draft:
    thread_ts = args.get("thread_ts")
    if thread_ts is not None and not isinstance(thread_ts, str):
        raise SlackRefusalError("invalid_arguments", response_metadata={"messages": ["[ERROR] thread_ts"]})
    return Draft(
        text=_text(args, "text"),
        blocks=_decoded(args.get("blocks"), "invalid_blocks_format"),
        thread_ts=thread_ts or "",
        broadcast=str(args.get("reply_broadcast", "")).lower() in {"1", "true"},
        metadata=_decoded(args.get("metadata"), "invalid_metadata_format"),
    )


def _decoded(value: object, refusal: str) -> object:
    """A value as it is, or out of the JSON text that a form brings."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise SlackRefusalError(refusal) from None


def _text(args: Args, name: str) -> str:
    value = args.get(name)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _required(args: Args, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        told = {"messages": [f"[ERROR] missing required field: {name}"]}
        raise SlackRefusalError("invalid_arguments", response_metadata=told)
    return value


def _shape(message: SlackMessage) -> dict[str, object]:
    shape: dict[str, object] = {
        "type": "message",
        "user": BOT_USER_ID,
        "bot_id": BOT_ID,
        "team": TEAM_ID,
        "text": message.text,
        "ts": message.ts,
    }
    if message.blocks:
        shape["blocks"] = list(message.blocks)
    if message.thread_ts:
        shape["thread_ts"] = message.thread_ts
    if message.edits:
        shape["edited"] = {"user": BOT_USER_ID, "ts": message.ts}
    return shape


def _shapes(messages: Sequence[SlackMessage], args: Args) -> list[dict[str, object]]:
    """Messages as they are read back; of metadata only the type, unless all of it is asked for."""
    shapes = []
    for message in messages:
        shape = _shape(message)
        if message.metadata is not None:
            whole = wants_metadata(args)
            told = message.metadata if whole else {"event_type": message.metadata["event_type"]}
            shape["metadata"] = dict(told)
        shapes.append(shape)
    return shapes


def _channel_shape(channel: SlackChannel) -> dict[str, object]:
    return {**asdict(channel), "is_channel": not channel.is_private, "name_normalized": channel.name}


def _is_visible(channel: SlackChannel, kinds: Sequence[str]) -> bool:
    if channel.is_private:
        return "private_channel" in kinds and channel.is_member
    return "public_channel" in kinds


def _as_text(message: SlackMessage, lead: str) -> list[str]:
    edited = f"  (edited {message.edits}×)" if message.edits else ""
    broadcast = "  (also in the channel)" if message.broadcast else ""
    first, *rest = message.shown.split("\n")
    return [f"{lead}{first}{edited}{broadcast}", *(f"{' ' * len(lead)}{line}" for line in rest)]


def _words(text: str, status: int) -> Response:
    return Response(text, status=status, mimetype="text/plain")
