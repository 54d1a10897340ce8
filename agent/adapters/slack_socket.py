"""Socket Mode: presses and commands without an address that Slack can reach.

Every process that serves the web has a connection of its own: Slack gives each press to one of them (page
"Socket Mode", at most 10 for an app), and whichever gets it decides in the one store. There is no signature;
the app-level token stands for it. The SDK's own clients notice a line that broke only after half a minute,
in which every press is lost, so only its values are used here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import structlog
import websocket
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from agent.adapters.exchange import trusted
from agent.adapters.patience import until
from agent.adapters.slack import asked
from agent.adapters.slack_errors import not_slack
from agent.adapters.slack_http import BotClient
from agent.domain.errors import AgentError, ServiceError

log = structlog.get_logger()

#: Slack waits 3 s for an acknowledgement.
_ANSWER_S = 2.6
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0

#: Slack pings about every 10 s; a line on which nothing came for so long is dead, whatever it says.
_SILENT_S = 30.0

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
    """One connection, made anew whenever it breaks, from a thread of its own."""

    def __init__(self, api_url: str, app_token: str, face: Face, *, timeout_s: float) -> None:
        self._client = BotClient(api_url, app_token, timeout_s=timeout_s)
        self._app_token = app_token
        self._timeout_s = timeout_s
        self._face = face
        self._stopping = threading.Event()
        self._line: Any = None  # websocket-client types only some of its methods
        self._thread = threading.Thread(target=self._stay_connected, daemon=True, name="slack-socket")

    def __repr__(self) -> str:
        return "SlackSocket('***')"

    def start(self) -> None:
        """Connect, as soon as Slack lets us; nothing waits for it."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; what is being answered is answered."""
        self._stopping.set()
        line = self._line
        if line is not None:
            line.abort()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _stay_connected(self) -> None:
        wait_s = _FIRST_WAIT_S
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="slack-press") as workers:
            while not self._stopping.is_set():
                began = time.monotonic()
                problem = self._listen(workers)
                if not problem or time.monotonic() - began > _LONGEST_WAIT_S:
                    wait_s = _FIRST_WAIT_S
                if problem and not self._stopping.is_set():
                    log.warning("slack_socket_down", error=problem, again_in_s=wait_s)
                    self._stopping.wait(wait_s)
                    wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _listen(self, workers: ThreadPoolExecutor) -> str:
        """One connection from its beginning to its end; why it broke, "" if Slack asked for a new one."""
        try:
            line = self._line = self._connected()
            log.info("slack_socket_connected")
            try:
                while not self._stopping.is_set():  # a stop that came before there was a line saw none
                    message = _heard(line)
                    if message.get("type") == "disconnect":
                        return ""
                    request = SocketModeRequest.from_dict(message)
                    if request is not None:
                        workers.submit(self._take, line, request)
                return ""
            finally:
                line.shutdown()
        except ServiceError as error:
            return str(error)
        except (websocket.WebSocketException, OSError, ValueError) as error:
            return type(error).__name__  # its words may hold the address, which is a ticket

    def _connected(self) -> Any:
        opened = asked(lambda: self._client.apps_connections_open(app_token=self._app_token))
        url = opened.get("url")
        if not isinstance(url, str):
            raise not_slack()
        line = websocket.create_connection(
            url,
            timeout=self._timeout_s,
            enable_multithread=True,
            sslopt={"context": trusted()} if url.startswith("wss:") else None,
        )
        line.settimeout(_SILENT_S)
        return line

    def _take(self, line: Any, request: SocketModeRequest) -> None:
        """Done first, acknowledged then: what is not acknowledged, Slack tells the person."""
        try:
            with until(time.monotonic() + _ANSWER_S):
                payload = self._answer(request)
            line.send(json.dumps(SocketModeResponse(request.envelope_id, payload).to_dict()))
        except AgentError as error:
            log.error("slack_envelope_not_taken", type=request.type, error=str(error))  # noqa: TRY400
        except (websocket.WebSocketException, OSError):
            log.warning("slack_envelope_not_acknowledged", type=request.type)
        except Exception as error:
            # the boundary of one press, as a request of the web is: the next one is answered
            log.error("slack_envelope_broke", type=request.type, exc_info=error)  # noqa: TRY400

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


def _heard(line: Any) -> dict[str, object]:
    """The next message; pings are answered on the way."""
    text = line.recv()
    if not text:
        raise websocket.WebSocketConnectionClosedException("closed")
    found = json.loads(text)
    if not isinstance(found, dict):
        raise websocket.WebSocketPayloadException("no JSON object")
    return found
