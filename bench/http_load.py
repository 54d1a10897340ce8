"""`python -m bench.http_load PORT CONCURRENCY FILE`: sends prepared requests over kept connections.

One thread over epoll, so that what is measured is the server and not its client. FILE holds whole HTTP
requests, each behind its length; printed is one JSON line with every answer's time and status.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

#: A server that says nothing for this long is given up.
PATIENCE_S = 60.0


def write_requests(path: Path, requests: Sequence[bytes]) -> None:
    path.write_bytes(b"".join(len(each).to_bytes(4, "big") + each for each in requests))


def read_requests(path: Path) -> list[bytes]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : end])
        at = end
    return found


class Load:
    """All requests, spread over `concurrency` connections that each have one request under way."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port = port
        self._waiting = list(reversed(requests))
        self._selector = selectors.DefaultSelector()
        self.answers: list[tuple[float, int]] = []

    def run(self, concurrency: int) -> float:
        begin = time.perf_counter()
        for _ in range(min(concurrency, len(self._waiting))):
            self._connect()
        while self._selector.get_map():
            ready = self._selector.select(PATIENCE_S)
            if not ready:
                raise SystemExit(f"no answer within {PATIENCE_S:g} s")
            for key, _ in ready:
                key.data.receive()
        return time.perf_counter() - begin

    def _connect(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange = Exchange(self, connection)
        self._selector.register(connection, selectors.EVENT_READ, exchange)
        exchange.next()

    def take(self) -> bytes | None:
        return self._waiting.pop() if self._waiting else None

    def done(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()

    def lost(self, connection: socket.socket) -> None:
        """The server hung up: counted as an answer without a status, and another connection is made."""
        self.done(connection)
        if self._waiting:
            self._connect()


class Exchange:
    """One connection: a request is out, its answer is read until it is whole."""

    def __init__(self, load: Load, connection: socket.socket) -> None:
        self._load = load
        self._connection = connection
        self._read = b""
        self._sent_at = 0.0

    def next(self) -> None:
        request = self._load.take()
        if request is None:
            self._load.done(self._connection)
            return
        self._read = b""
        self._sent_at = time.perf_counter()
        self._connection.sendall(request)

    def receive(self) -> None:
        try:
            data = self._connection.recv(65_536)
        except OSError:
            data = b""
        if not data:
            self._load.answers.append((time.perf_counter() - self._sent_at, 0))
            self._load.lost(self._connection)
            return
        self._read += data
        if not _is_whole(self._read):
            return
        status = int(self._read[9:12])
        self._load.answers.append((time.perf_counter() - self._sent_at, status))
        self.next()


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    raise SystemExit(f"an answer without a length: {head!r}")


def main() -> None:
    port, concurrency, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    load = Load(port, read_requests(path))
    seconds = load.run(concurrency)
    print(json.dumps({"seconds": seconds, "answers": load.answers}))


if __name__ == "__main__":
    main()
