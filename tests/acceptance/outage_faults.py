"""What may be wrong with a neighbour that speaks HTTP, on real sockets: a line to a simulator.

Untouched, the line hands every request on and the answer back. Broken, it does one of the things that a dead,
drowning or strange peer does; what it was asked is counted either way.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from agent.simulators.kubernetes.tls import make_certificate

#: How long a peer that is late takes; every timeout in the tests is far below.
LATE_S = 3.0

#: A peer that drips sends one byte after each such time: never long enough for a timeout between two bytes.
_DRIP_S = 0.02


class Fault(StrEnum):
    """What is wrong; the value is its name in the table."""

    SLOW = "answers too late, having done what was asked"
    SILENT = "accepts, and never answers"
    STALLED = "sends half an answer, and stalls"
    DRIPPING = "sends its answer one byte at a time"
    RESET = "resets the connection in the middle of its answer"
    REFUSED = "refuses the connection"
    NO_NAME = "its name does not resolve"
    BAD_TLS = "shows a certificate that nobody signed"
    LIMITED = "429 with `Retry-After: 3600`"
    BROKEN = "500"
    AWAY = "503"
    HTML = "200 with a page of HTML"
    CUT_JSON = "200 with JSON that is cut off"
    OTHER_JSON = "200 with JSON of another shape"
    HUGE = "200 with a body that does not end"

    @property
    def costs_time(self) -> bool:
        """Whether only our own timeout ends it."""
        return self in (Fault.SLOW, Fault.SILENT, Fault.STALLED, Fault.DRIPPING)

    @property
    def needs_another_address(self) -> bool:
        """Whether it lies in the address, so that it is mended by configuring another one."""
        return self in (Fault.NO_NAME, Fault.BAD_TLS)


_ANSWERS = {
    Fault.LIMITED: b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
    Fault.BROKEN: b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
    Fault.AWAY: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\naway",
    Fault.HTML: b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html>Sign in</html>\n",
    Fault.CUT_JSON: b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"ok": true, "chan',
    Fault.OTHER_JSON: b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"status": "healthy"}\n',
}
_HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"half": "'


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the line saw it."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()


@dataclass
class Line:
    """Listens on loopback in front of `target`; `breaks` is the fault, for requests that `only` holds for."""

    target: str
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    breaks: Fault | None = None
    only: Callable[[Asked], bool] = lambda _: True
    #: Nobody listens any more once such a request was answered, if the fault is that.
    last: Callable[[Asked], bool] | None = None
    _listener: socket.socket | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listen(0)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._serve, args=(self._listener, self._over), daemon=True).start()

    def break_(self, fault: Fault) -> None:
        """From now on, until it is mended."""
        self.breaks = fault
        if fault is Fault.REFUSED and self.last is None:
            self.close()

    def mend(self) -> None:
        """As if nothing had been."""
        self.breaks = None
        self.close()
        self._listen(self.port)

    def close(self) -> None:
        """Nobody listens here any more."""
        self._over.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _serve(self, listener: socket.socket, over: threading.Event) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer, over), daemon=True).start()

    def _answer(self, peer: socket.socket, over: threading.Event) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), contextlib.ExitStack() as stack:
            stack.callback(peer.close)
            peer.settimeout(10)
            if self.tls is not None:
                peer = stack.enter_context(self.tls.wrap_socket(peer, server_side=True))
            asked = _read_request(peer)
            self.asked.append(asked)
            fault = self.breaks if self.only(asked) else None
            if self.breaks is Fault.REFUSED and self.last is not None and self.last(asked):
                stack.callback(peer.sendall, _handed_on(self.target, asked))
                self.close()
                return
            _misbehave(fault, peer, over, lambda: _handed_on(self.target, asked))


def _misbehave(
    fault: Fault | None, peer: socket.socket, over: threading.Event, real: Callable[[], bytes]
) -> None:
    match fault:
        case None:
            peer.sendall(real())
        case Fault.SLOW:
            answer = real()
            over.wait(LATE_S)
            peer.sendall(answer)
        case Fault.SILENT:
            over.wait(10)
        case Fault.STALLED:
            peer.sendall(_HALF)
            over.wait(10)
        case Fault.DRIPPING:
            _drip(peer, over)
        case Fault.RESET:
            peer.sendall(_HALF)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        case Fault.HUGE:
            _flood(peer, over)
        case _:
            peer.sendall(_ANSWERS[fault])


def _drip(peer: socket.socket, over: threading.Event) -> None:
    """Its head never ends: the timeout of a socket would start anew with each byte."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nX-Drop: ")
    while not over.wait(_DRIP_S):
        peer.sendall(b".")


def _flood(peer: socket.socket, over: threading.Event) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while not over.is_set():
        peer.sendall(b" " * 1_000_000)


def _read_request(peer: socket.socket) -> Asked:
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _some(peer)
    head, _, body = raw.partition(b"\r\n\r\n")
    lengths = (
        line.split(b":", 1)[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    length = int(next(lengths, 0))
    while len(body) < length:
        body += _some(peer)
    return Asked(head, body)


def _some(peer: socket.socket) -> bytes:
    part = peer.recv(65_536)
    if not part:
        raise ConnectionError("the client hung up")
    return part


def _handed_on(target: str, asked: Asked) -> bytes:
    """What the simulator answers; one connection for each request."""
    host, _, port = target.removeprefix("http://").rstrip("/").partition(":")
    kept = [line for line in asked.head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    with socket.create_connection((host, int(port)), timeout=10) as there:
        there.sendall(b"\r\n".join([*kept, b"Connection: close", b"", asked.body]))
        answer = b""
        while part := there.recv(65_536):
            answer += part
    return answer


@contextlib.contextmanager
def lines() -> Iterator[Callable[..., Line]]:
    """Makes lines, and closes all of them at the end."""
    made: list[Line] = []

    def start(target: str, *, tls: ssl.SSLContext | None = None) -> Line:
        made.append(Line(target, tls))
        return made[-1]

    try:
        yield start
    finally:
        for line in made:
            line.close()


def untrusted() -> ssl.SSLContext:
    """The server's side of a certificate that nobody but itself signed."""
    made = make_certificate()
    context = made.context()
    for path in (made.certificate, made.key):
        path.unlink()
    Path(made.certificate.parent).rmdir()
    return context
