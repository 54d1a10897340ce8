"""Socket Mode at the simulated Slack: an app-level token gets a WebSocket, by which presses come.

As Slack does: `hello` first, one of the open connections gets each envelope, `disconnect` asks for a new
connection, and what is not acknowledged within 3 s is an error on the person's screen.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Flask, Request, Response, request
from werkzeug.datastructures import Headers
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import ProtocolError

APP_TOKEN = "xapp-simulated-token"  # noqa: S105  (made up; opens nothing)
_ACK_WITHIN_S = 3.0
_CHUNK = 65_536


class _TakenOver(Response):
    """Takes the connection over from the HTTP server, and never gives it back."""

    def __init__(self, take_over: Callable[[socket.socket], None]) -> None:
        super().__init__(status=101)
        self._take_over = take_over

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204, ARG002
        """Speak on the raw socket; the server drops a connection that ends in a ConnectionError."""
        self._take_over(environ["werkzeug.socket"])
        raise ConnectionResetError


class _Line:
    """One app's connection."""

    def __init__(self, connection: socket.socket, headers: Headers) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._protocol.initiate_upgrade_connection(
            [(key.encode(), value.encode()) for key, value in headers.items()], "/"
        )
        self._text = ""
        self.send_event(AcceptConnection())

    def send(self, data: Mapping[str, object]) -> bool:
        """Whether it went out."""
        return self.send_event(TextMessage(data=json.dumps(data)))

    def send_event(self, event: Event) -> bool:
        with self._lock:
            try:
                self._socket.sendall(self._protocol.send(event))
            except (OSError, ProtocolError):
                return False
        return True

    def listen(self, hear: Callable[[Mapping[str, object]], None]) -> None:
        """Until the app has gone."""
        while True:
            try:
                data = self._socket.recv(_CHUNK)
                self._protocol.receive_data(data or None)
                for event in self._protocol.events():
                    if not self._take(event, hear):
                        return
            except (OSError, ProtocolError):
                return

    def cut(self) -> None:
        """As a network does."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _take(self, event: Event, hear: Callable[[Mapping[str, object]], None]) -> bool:
        if isinstance(event, Ping):
            self.send_event(event.response())
        elif isinstance(event, CloseConnection):
            return False
        elif isinstance(event, TextMessage):
            self._text += event.data
            if event.message_finished:
                whole, self._text = self._text, ""
                hear(json.loads(whole))
        return True


@dataclass(slots=True)
class SlackSockets:
    """Every open connection, and the envelopes that wait for their acknowledgement."""

    app_token: str = APP_TOKEN
    base_url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lines: list[_Line] = field(default_factory=list)
    _waiting: dict[str, queue.Queue[Mapping[str, object]]] = field(default_factory=dict)
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def connected(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._lines)

    def open(self, _: Mapping[str, object]) -> dict[str, object]:
        """`apps.connections.open`: where to connect to."""
        host = self.base_url.removeprefix("http://")
        return {"url": f"ws://{host}/link/?ticket=simulated-{next(self._count)}&app_id=A0SIMULATE"}

    def envelope(self, kind: str, payload: Mapping[str, object]) -> Mapping[str, object] | None:
        """Send one, to one of the connections; gives its acknowledgement, None if none came in time."""
        envelope_id = f"envelope-{next(self._count)}"
        answers: queue.Queue[Mapping[str, object]] = queue.Queue()
        with self._lock:
            if not self._lines:
                return None
            self._waiting[envelope_id] = answers
            line = self._lines[-1]
        line.send(
            {
                "envelope_id": envelope_id,
                "type": kind,
                "payload": payload,
                "accepts_response_payload": kind == "slash_commands",
            }
        )
        try:
            return answers.get(timeout=_ACK_WITHIN_S)
        except queue.Empty:
            return None

    def ask_to_reconnect(self) -> None:
        """As Slack does every few hours."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.send(
                {"type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "simulated"}}
            )

    def cut(self) -> None:
        """Every connection breaks."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()

    def serve(self, app: Flask) -> None:
        """The WebSocket."""

        @app.get("/link/", websocket=True)
        def link() -> Response:
            asked = _headers_of(request)
            return _TakenOver(lambda connection: self._attend(_Line(connection, asked)))

    def _attend(self, line: _Line) -> None:
        with self._lock:
            self._lines.append(line)
        line.send(
            {"type": "hello", "num_connections": self.connected, "connection_info": {"app_id": "A0SIMULATE"}}
        )
        try:
            line.listen(self._hear)
        finally:
            with self._lock:
                self._lines.remove(line)

    def _hear(self, said: Mapping[str, object]) -> None:
        with self._lock:
            answers = self._waiting.pop(str(said.get("envelope_id", "")), None)
        if answers is not None:
            answers.put(said)


def _headers_of(asked: Request) -> Headers:
    return Headers(list(asked.headers.items()))
