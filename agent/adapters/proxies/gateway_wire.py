"""HTTP/1.1 over one socket, strictly read: a message that two readers could frame differently is an error."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import h11

_CHUNK = 64 * 1024
_MOST_HEAD = 32 * 1024
Headers = Sequence[tuple[str, str]]

#: RFC 9110 section 7.6.1, and what proxies keep for themselves.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)


class TooLargeError(Exception):
    """A body is over its limit."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first lines of a request (`method`, `target`) or of an answer (`status`)."""

    headers: Headers
    method: str = ""
    target: str = ""
    status: int = 0

    def value(self, name: str) -> str:
        """Every value of a header joined, or ""."""
        return ", ".join(value for key, value in self.headers if key == name)


class Wire:
    """One side of a connection: the server's toward a step, or the client's toward the world.

    What request smuggling lives on is refused: two lengths, a length and chunks, odd spaces and lines;
    its errors are h11.RemoteProtocolError.
    """

    def __init__(self, sock: socket.socket, *, server: bool) -> None:
        self.sock = sock
        role = h11.SERVER if server else h11.CLIENT
        self._state = h11.Connection(role, max_incomplete_event_size=_MOST_HEAD)

    def request(self) -> Head | None:
        """The next request's head; None when the other side is done."""
        event = self._next()
        if not isinstance(event, h11.Request):
            return None
        _check_framing(event)
        method, target = event.method.decode("ascii"), event.target.decode("ascii", "replace")
        return Head(_headers(event), method=method, target=target)

    def answer(self) -> Head:
        """The head of an answer; of interim ones only 101."""
        while True:
            event = self._next()
            if isinstance(event, h11.Response):
                _check_framing(event)
                return Head(_headers(event), status=event.status_code)
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return Head(_headers(event), status=101)
            if isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed without an answer")

    def chunks(self, *, limit: int | None = None) -> Iterator[bytes]:
        """The body as it arrives; TooLargeError beyond the limit."""
        size = 0
        while isinstance(event := self._next(), h11.Data):
            size += len(event.data)
            if limit is not None and size > limit:
                raise TooLargeError(f"more than {limit} bytes")
            yield bytes(event.data)

    def body(self, *, limit: int) -> bytes:
        """The whole body."""
        return b"".join(self.chunks(limit=limit))

    def send_request(self, method: str, target: str, headers: Headers) -> None:
        """Begin a request."""
        self._send(h11.Request(method=method, target=target, headers=_bytes(headers)))

    def send_answer(self, status: int, headers: Headers) -> None:
        """Begin an answer; 101 ends the talk in HTTP."""
        kind = h11.InformationalResponse if status < 200 else h11.Response
        self._send(kind(status_code=status, headers=_bytes(headers)))

    def send_chunk(self, data: bytes) -> None:
        """A part of the body."""
        self._send(h11.Data(data=data))

    def send_end(self) -> None:
        """The message is complete."""
        self._send(h11.EndOfMessage())

    def again(self) -> bool:
        """Make ready for the next request on this connection; False if it cannot have one."""
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
            return True
        return False

    def rest(self) -> bytes:
        """What arrived behind the last message, for a tunnel."""
        return self._state.trailing_data[0]

    def may_still_answer(self) -> bool:
        """Whether an answer can be sent, after an error."""
        return self._state.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def _send(self, event: h11.Event) -> None:
        if data := self._state.send(event):
            self.sock.sendall(data)

    def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self._state.next_event()
            if isinstance(event, h11.Event) or event is h11.PAUSED:
                return event
            if self._state.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._state.receive_data(self.sock.recv(_CHUNK))


def _check_framing(event: h11.Request | h11.Response) -> None:
    """RFC 9112 section 6.3 lets a reader choose; one that chooses otherwise reads another message."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
        raise h11.RemoteProtocolError("a length and chunks at once")


def _headers(event: h11.Request | h11.Response | h11.InformationalResponse) -> Headers:
    return tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)


def _bytes(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
