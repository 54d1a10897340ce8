"""Bytes both ways between two sockets until one side ends, is quiet too long, or the cap is reached."""

from __future__ import annotations

import selectors
import socket
import ssl
from dataclasses import dataclass, field

_CHUNK = 64 * 1024
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(slots=True)
class _Flow:
    """One direction: what was read and is not yet written."""

    source: socket.socket
    sink: socket.socket
    waiting: bytearray = field(default_factory=bytearray)
    moved: int = 0
    ended: bool = False
    told: bool = False

    def wants_read(self) -> bool:
        return not self.ended and not self.waiting

    def fill(self) -> None:
        try:
            data = self.source.recv(_CHUNK)
        except _NOT_NOW:
            return
        self.waiting += data
        self.moved += len(data)
        self.ended = not data

    def empty(self) -> None:
        while self.waiting:
            try:
                sent = self.sink.send(self.waiting)
            except _NOT_NOW:
                return
            del self.waiting[:sent]

    def pass_on_end(self) -> None:
        """The source has no more to say: tell the sink, once all is written."""
        if self.ended and not self.waiting and not self.told:
            self.told = True
            if not isinstance(self.sink, ssl.SSLSocket):
                self.sink.shutdown(socket.SHUT_WR)


def tunnel(
    near: socket.socket,
    far: socket.socket,
    *,
    early: tuple[bytes, bytes] = (b"", b""),
    idle_s: float | None = None,
    most: int | None = None,
    half_open: bool = False,
) -> None:
    """Carry bytes until the end; `early` is what each side (near, far) had sent already.

    With `half_open` a side that has ended may still listen; otherwise its end is the end.
    """
    near.setblocking(False)
    far.setblocking(False)
    out, back = _Flow(near, far, bytearray(early[0])), _Flow(far, near, bytearray(early[1]))
    with selectors.DefaultSelector() as selector:
        while _goes_on(out, back, half_open=half_open, most=most):
            ready = {near, far} if _pending(far) and back.wants_read() else _wait(selector, out, back, idle_s)
            if not ready:
                return
            for flow in (out, back):
                if flow.source in ready and flow.wants_read():
                    flow.fill()
                flow.empty()
                flow.pass_on_end()


def _goes_on(out: _Flow, back: _Flow, *, half_open: bool, most: int | None) -> bool:
    if most is not None and max(out.moved, back.moved) > most:
        return False
    out_done, back_done = out.ended and not out.waiting, back.ended and not back.waiting
    return not (out_done and back_done) if half_open else not (out_done or back_done)


def _pending(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _wait(
    selector: selectors.BaseSelector, out: _Flow, back: _Flow, idle_s: float | None
) -> set[socket.socket]:
    """The sockets that can be read or written now; none when the time is over."""
    for sock, reads, writes in ((out.source, out, back), (back.source, back, out)):
        events = selectors.EVENT_READ if reads.wants_read() else 0
        events |= selectors.EVENT_WRITE if writes.waiting else 0
        _watch(selector, sock, events)
    return {key.fileobj for key, _ in selector.select(idle_s) if isinstance(key.fileobj, socket.socket)}


def _watch(selector: selectors.BaseSelector, sock: socket.socket, events: int) -> None:
    known = selector.get_map().get(sock)
    if known is not None and known.events == events:
        return
    if known is not None:
        selector.unregister(sock)
    if events:
        selector.register(sock, events)
