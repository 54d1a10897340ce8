"""The shop's way to its cache: a few lines of RESP, and the pool of connections that the demo exhausts."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

Reply = bytes | int | list["Reply"] | None


class PoolEmptyError(Exception):
    """Every connection is in use, and none came back within the time."""


class Connection:
    """One TCP connection to the cache."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=2)
        self._socket.settimeout(None)
        self._reader = self._socket.makefile("rb")

    def command(self, *words: str) -> Reply:
        """Send one command and wait for its answer, for as long as it takes."""
        parts = [word.encode() for word in words]
        self._socket.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        )
        return self._reply()

    @property
    def is_dead(self) -> bool:
        """Whether the cache has closed it, or something unread is left on it."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)

    def close(self) -> None:
        """Give the socket back."""
        self._reader.close()
        self._socket.close()

    def _reply(self) -> Reply:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the cache closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ConnectionError(rest.decode("utf-8", "replace"))
        if kind == b"+":
            return rest
        number = int(rest)
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            return self._reader.read(number + 2)[:-2]
        return [self._reply() for _ in range(number)]


class Pool:
    """At most `size` connections; who finds none waits `wait_s`, then gives up."""

    def __init__(self, port: int, *, size: int, wait_s: float) -> None:
        self.size = size
        self._port = port
        self._wait_s = wait_s
        self._free = threading.Semaphore(size)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._in_use = 0

    @property
    def in_use(self) -> int:
        """How many are lent out."""
        return self._in_use

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend one; a broken one is thrown away and replaced by the next who asks."""
        if not self._free.acquire(timeout=self._wait_s):
            raise PoolEmptyError
        try:
            connection = self._take()
            try:
                yield connection
            except OSError:
                connection.close()
                raise
            else:
                self._idle.append(connection)
            finally:
                with self._lock:
                    self._in_use -= 1
        finally:
            self._free.release()

    def _take(self) -> Connection:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_dead:
                    break
                connection.close()
            else:
                connection = Connection(self._port)
            self._in_use += 1
        return connection
