"""A web server on a port of its own, and what comes back over a connection to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask

from agent.web.lane import WebhookDesk
from agent.web.server import WebServer


@contextmanager
def serving(app: Flask, desk: WebhookDesk | None = None, *, host: str = "127.0.0.1") -> Iterator[int]:
    """The real server; gives its port."""
    server = WebServer(app, host=host, port=0, desk=desk)
    server.bind()
    try:
        yield int(server.listen().rpartition(":")[2])
    finally:
        server.stop()


def told(connection: socket.socket, *, until: Callable[[bytes], bool]) -> bytes:
    """What has come when it is enough."""
    received = b""
    while not until(received):
        piece = connection.recv(1 << 20)
        assert piece, f"cut off after {len(received)} bytes: {received[-200:]!r}"
        received += piece
    return received
