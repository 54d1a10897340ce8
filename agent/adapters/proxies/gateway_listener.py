"""A loopback port for one command: bounded connections, each in a thread, all ended together."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Self

MOST_CONNECTIONS = 32
_JOIN_S = 2.0


class Sockets:
    """The open sockets of a gateway, so that its end is the end of every one, whatever waits on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    @contextlib.contextmanager
    def kept(self, sock: socket.socket) -> Iterator[socket.socket]:
        """Count it as open until the block ends; ConnectionError if all has ended already."""
        with self._lock:
            if self._closed:
                sock.close()
                raise ConnectionError("the gateway is closed")
            self._open.add(sock)
        try:
            yield sock
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def end_all(self) -> None:
        """Wake every thread that waits on one of them; they close their own."""
        with self._lock:
            self._closed = True
            for sock in self._open:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own shutdown, which takes the TLS state from under a reading thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Listener:
    """Accepts on a free port of 127.0.0.1 until it is closed; `serve` gets each connection in a thread.

    Connections beyond `most` at a time are closed at once.
    """

    def __init__(
        self, serve: Callable[[socket.socket], None], *, name: str, most: int = MOST_CONNECTIONS
    ) -> None:
        self._serve = serve
        self._name = name
        self._free = threading.BoundedSemaphore(most)
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=most)
        self.sockets = Sockets()
        self.port: int = self._socket.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.sockets.end_all()
        self._accepting.join(_JOIN_S)
        with self._lock:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(_JOIN_S)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if not self._free.acquire(blocking=False):
                connection.close()
                continue
            thread = threading.Thread(target=self._work, args=(connection,), name=self._name, daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _work(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError), self.sockets.kept(connection):
                self._serve(connection)
        finally:
            self._free.release()
            with self._lock:
                self._threads.discard(threading.current_thread())


class Gateway(ABC):
    """One command's door: open inside `with`, at a port and by a token of its own."""

    def __init__(self, name: str) -> None:
        self._token = secrets.token_urlsafe(24)
        self._listener = Listener(self._serve, name=name)

    def __enter__(self) -> Self:
        self._listener.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.__exit__()

    @property
    def port(self) -> int:
        """The loopback port."""
        return self._listener.port

    @abstractmethod
    def _serve(self, connection: socket.socket) -> None:
        """Answer one connection, in a thread of its own."""
