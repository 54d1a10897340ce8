"""`kubectl exec`: a WebSocket in the Kubernetes channel protocol, and behind it a real local process.

A simulated container has no shell and no files: it has the programs that were declared for it, and runs
exactly the argv it is given.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from flask import Request, Response
from werkzeug.datastructures import Headers
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
)
from wsproto.utilities import ProtocolError

from agent.simulators.kubernetes.errors import ApiError
from agent.simulators.kubernetes.objects import Object

# The newest first; v5 adds that the client may close stdin.
SUBPROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 32_768
_LAST_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class ContainerPrograms:
    """What can be run in a container: names of programs with the argv they stand for, or whole directories.

    `programs={"redis-cli": ("/usr/bin/redis-cli", "-p", "7001")}` runs that, then the step's arguments.
    """

    programs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    path: Sequence[str | Path] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str | Path = "/"

    def find(self, argv: Sequence[str]) -> list[str] | None:
        """The real argv; None when the container has no such program."""
        if argv[0] in self.programs:
            return [*map(str, self.programs[argv[0]]), *argv[1:]]
        directories = os.pathsep.join(map(str, self.path))
        name = Path(argv[0])
        if name.is_absolute() and str(name.parent) not in directories.split(os.pathsep):
            return None
        found = shutil.which(name.name if name.is_absolute() else argv[0], path=directories)
        return None if found is None or not directories else [found, *argv[1:]]

    def environment(self) -> dict[str, str]:
        """Exactly what was declared, and the PATH."""
        return {"PATH": os.pathsep.join(map(str, self.path)), **self.env}


@dataclass(frozen=True, slots=True)
class Execution:
    """One command that ran in a pod, or was not found there (`exit_code` None)."""

    namespace: str
    pod: str
    container: str
    argv: tuple[str, ...]
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Ask:
    """What the client asked to run."""

    argv: tuple[str, ...]
    stdin: bool
    stdout: bool
    stderr: bool

    @classmethod
    def of(cls, request: Request) -> Ask:
        """Read the query."""

        def wanted(name: str) -> bool:
            # as the API server: a key without a value is true
            return request.args.get(name, "false").lower() not in {"0", "false"}

        argv = tuple(request.args.getlist("command"))
        if not argv:
            raise ApiError(400, "BadRequest", "you must specify at least 1 command for the container")
        return cls(argv, wanted("stdin"), wanted("stdout"), wanted("stderr"))


def subprotocol(request: Request) -> str:
    """The protocol to speak; a Status 400 in words when the client asks for another, or for SPDY."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        message = "exec wants a WebSocket upgrade: this server does not speak SPDY; use kubectl 1.30 or newer"
        raise ApiError(400, "BadRequest", message)
    offered = [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    chosen = next((each for each in SUBPROTOCOLS if each in offered), None)
    if chosen is None:
        message = (
            f"unable to upgrade: none of the protocols {offered} is known; known are {list(SUBPROTOCOLS)}"
        )
        raise ApiError(400, "BadRequest", message)
    return chosen


class ExecResponse(Response):
    """Takes the connection over from the HTTP server, and never gives it back."""

    def __init__(self, take_over: Callable[[socket.socket], None]) -> None:
        super().__init__(status=101)
        self._take_over = take_over

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204, ARG002
        """Speak on the raw socket; the server drops a connection that ends in a ConnectionError."""
        self._take_over(environ["werkzeug.socket"])
        raise ConnectionResetError


class Channels:
    """The client's end: channel numbers in front of each message, pings answered, sends one at a time."""

    def __init__(self, connection: socket.socket, headers: Headers, protocol: str) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._web_socket = WSConnection(ConnectionType.SERVER)
        received = [(key.encode(), value.encode()) for key, value in headers.items()]
        self._web_socket.initiate_upgrade_connection(received, "/")
        self._message = b""
        self.closed = False
        self._send(AcceptConnection(subprotocol=protocol))

    def write(self, channel: int, data: bytes) -> None:
        """Send on one of the channels."""
        self._send(BytesMessage(data=bytes([channel]) + data))

    def receive(self, timeout_s: float) -> list[tuple[int, bytes]]:
        """What arrived within the time; `closed` is set when the client has gone."""
        if not self._wait(timeout_s):
            return []
        try:
            data = self._socket.recv(_CHUNK)
            self._web_socket.receive_data(data or None)
        except (OSError, ProtocolError):
            self.closed = True
            return []
        return [message for event in list(self._web_socket.events()) for message in self._take(event)]

    def close(self) -> None:
        """Say goodbye, and wait a moment for the answer, so that nothing sent is lost."""
        self._send(CloseConnection(code=1000))
        while not self.closed and self._wait(_LAST_WORDS_S):
            self.receive(0)

    def _wait(self, timeout_s: float) -> bool:
        pending = getattr(self._socket, "pending", None)
        if pending is not None and pending():
            return True
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def _take(self, event: Event) -> list[tuple[int, bytes]]:
        if isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, CloseConnection):
            self.closed = True
        elif isinstance(event, Message):
            self._message += event.data.encode() if isinstance(event.data, str) else bytes(event.data)
            if event.message_finished:
                whole, self._message = self._message, b""
                return [(whole[0], whole[1:])] if whole else []
        return []

    def _send(self, event: Event) -> None:
        with self._lock:
            try:
                self._socket.sendall(self._web_socket.send(event))
            except (OSError, ProtocolError):
                self.closed = True


class Session:
    """One command in one pod, from its start to the Status on the error channel."""

    def __init__(
        self, channels: Channels, ask: Ask, container: ContainerPrograms, *, stopped: Callable[[], bool]
    ) -> None:
        self._channels, self._ask, self._container, self._stopped = channels, ask, container, stopped

    def run(self, record: Callable[[int | None], None]) -> None:
        """Run it to its end; `record` hears the exit code before the client does, None if it never ran."""
        code, status = self._run()
        record(code)
        self._channels.write(_ERROR, json.dumps(status).encode())
        self._channels.close()

    def _run(self) -> tuple[int | None, Object]:
        program = self._ask.argv[0]
        argv = self._container.find(self._ask.argv)
        if argv is None:
            return None, _not_started(f'exec: "{program}": executable file not found in $PATH')
        try:
            process = self._start(argv)
        except OSError as error:
            return None, _not_started(f'exec: "{program}": {error.strerror}')
        code = self._attend(process)
        return code, _ended(code)

    def _start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if self._ask.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._ask.stdout else subprocess.DEVNULL,
            stderr=subprocess.PIPE if self._ask.stderr else subprocess.DEVNULL,
            env=self._container.environment(),
            cwd=self._container.directory,
            start_new_session=True,
        )

    def _attend(self, process: subprocess.Popen[bytes]) -> int:
        """Carry the streams until both outputs have ended; a client that goes away ends the process."""
        feeder = _Feeder(process.stdin)
        pumps = [
            threading.Thread(target=self._pump, args=(channel, pipe), daemon=True)
            for channel, pipe in ((_STDOUT, process.stdout), (_STDERR, process.stderr))
            if pipe is not None
        ]
        for pump in pumps:
            pump.start()
        while any(pump.is_alive() for pump in pumps) or process.poll() is None:
            for channel, data in self._channels.receive(0.01):
                feeder.take(channel, data)
            if self._channels.closed or self._stopped():
                _kill(process)
                break
        feeder.end()
        for pump in pumps:
            pump.join()
        return process.wait()

    def _pump(self, channel: int, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                self._channels.write(channel, data)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """A real node lets such a process go on; here nothing may outlive its test."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Feeder:
    """Writes stdin from a thread of its own: a process that reads nothing must not stop its output."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        if pipe is not None:
            threading.Thread(target=self._feed, args=(pipe,), daemon=True).start()

    def take(self, channel: int, data: bytes) -> None:
        """A message from the client."""
        if channel == _STDIN:
            self._queue.put(data)
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]):
            self._queue.put(None)

    def end(self) -> None:
        """No more will come."""
        self._queue.put(None)

    def _feed(self, pipe: IO[bytes]) -> None:
        try:
            with pipe:
                while (data := self._queue.get()) is not None:
                    pipe.write(data)
                    pipe.flush()
        except BrokenPipeError:
            return


def _ended(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    shown = code if code > 0 else 128 - code
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {shown}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(shown)}]},
    }


def _not_started(why: str) -> Object:
    message = (
        "Internal error occurred: error executing command in container: failed to exec in container: "
        "failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: "
        f"{why}: unknown"
    )
    return {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
