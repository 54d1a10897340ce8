"""A server on loopback that keeps what it was sent and answers fixed bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Origin:
    """What arrived, connection by connection."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connected: threading.Event = field(default_factory=threading.Event)


@contextmanager
def origin(answer: bytes, *, hold: bool = False) -> Iterator[Origin]:
    """Answer every connection's first bytes, then close it, or hold it open without a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = Origin(server.getsockname()[1])
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    there.connected.set()
                    held.append(connection)
                    if not hold:
                        _answer(connection, there, answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield there
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in held:
            connection.close()


def _answer(connection: socket.socket, there: Origin, answer: bytes) -> None:
    with contextlib.suppress(OSError), connection:
        there.requests.append(_whole(connection))
        connection.sendall(answer)


def _whole(connection: socket.socket) -> bytes:
    """A request with its body, by length or in chunks."""
    connection.settimeout(5)
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = [
        line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    ]
    chunked = b"transfer-encoding: chunked" in head.lower()
    while (length and len(body) < int(length[0])) or (chunked and not body.endswith(b"0\r\n\r\n")):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
