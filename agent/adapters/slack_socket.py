"""Socket Mode: presses and commands without an address that Slack can reach, by the SDK's own client.

Every process that serves the web has a connection of its own: Slack gives each press to one of them (page
"Socket Mode", at most 10 for an app), and whichever gets it decides in the one store. There is no signature;
the app-level token stands for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Protocol
from urllib.request import proxy_bypass

import structlog
from slack_sdk.errors import SlackClientError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from agent.adapters.patience import until
from agent.adapters.slack_http import BotClient, silent
from agent.domain.errors import AgentError

log = structlog.get_logger()

#: Slack waits 3 s for an acknowledgement.
_ANSWER_S = 2.6
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0

#: Envelopes that are answered at the same time.
_AT_ONCE = 4


class Face(Protocol):
    """Who takes what people do in Slack; durable when it returns."""

    def interaction(self, payload: Mapping[str, object]) -> None:
        """A button was pressed."""
        ...

    def command(self, fields: Mapping[str, object]) -> str:
        """`/oncall …` was typed; gives the answer."""
        ...


class SlackSocket:
    """One connection, made anew whenever it breaks, from threads of its own."""

    def __init__(self, api_url: str, app_token: str, face: Face, *, timeout_s: float) -> None:
        self._client = BotClient(api_url, app_token, timeout_s=timeout_s)
        self._app_token = app_token
        self._face = face
        self._stopping = threading.Event()
        self._socket: SocketModeClient | None = None
        self._thread = threading.Thread(target=self._connect, daemon=True, name="slack-socket")

    def __repr__(self) -> str:
        return "SlackSocket('***')"

    def start(self) -> None:
        """Connect, as soon as Slack lets us; nothing waits for it."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        if self._socket is not None:
            self._socket.close()

    def _connect(self) -> None:
        """Until the first connection stands; from then on the SDK's client looks after it."""
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            problem = self._try()
            if not problem:
                log.info("slack_socket_connected")
                return
            log.warning("slack_socket_down", error=problem, again_in_s=wait_s)
            self._stopping.wait(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _try(self) -> str:
        if self._socket is None:
            self._socket = self._new_socket()
        try:
            self._socket.connect_to_new_endpoint(force=True)
        except (AgentError, SlackClientError, OSError, ValueError) as error:
            # the SDK's own words may hold the address, which is a ticket
            return str(error) if isinstance(error, AgentError) else type(error).__name__
        return "" if self._socket.is_connected() else "the connection did not come about"

    def _new_socket(self) -> SocketModeClient:
        made = SocketModeClient(
            self._app_token, logger=silent(), web_client=self._client, concurrency=_AT_ONCE, ping_interval=5
        )
        if proxy_bypass(_host_of(self._client.base_url)):
            made.proxy = None
        made.socket_mode_request_listeners.append(self._take)
        return made

    def _take(self, socket: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Done first, acknowledged then: what is not acknowledged, Slack tells the person."""
        try:
            with until(time.monotonic() + _ANSWER_S):
                payload = self._answer(request)
        except AgentError as error:
            log.error("slack_envelope_not_taken", type=request.type, error=str(error))  # noqa: TRY400
            return
        response = SocketModeResponse(request.envelope_id, payload)
        try:
            socket.send_socket_mode_response(response)
        except SlackClientError:
            log.warning("slack_envelope_not_acknowledged", type=request.type)

    def _answer(self, request: SocketModeRequest) -> dict[str, object] | None:
        match request.type:
            case "interactive":
                self._face.interaction(request.payload)
            case "slash_commands":
                words = self._face.command(request.payload)
                return {"response_type": "ephemeral", "text": words}
            case _:
                log.info("slack_unknown_envelope", type=request.type)
        return None


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]
