"""How an answer leaves: in one piece with its head, so that whoever waits is woken once."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from flask import Flask

from tests.integration.web.wire import serving


@pytest.fixture(params=["127.0.0.1", "localhost"])
def connection(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    app = Flask("answers", static_folder=None)
    app.get("/whole", endpoint="whole")(lambda: "all of it")
    app.get("/piecewise", endpoint="piecewise")(lambda: iter(["one ", "and ", "another"]))
    with (
        serving(app, host=request.param) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as connected,
    ):
        yield connected


def ask(connection: socket.socket, method: str, path: str) -> None:
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())


def test_an_answer_in_one_piece_leaves_with_its_head_however_often_it_is_asked_for(
    connection: socket.socket,
) -> None:
    for _ in range(20):
        ask(connection, "GET", "/whole")
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nContent-Length: 9\r\n" in head
        assert body == b"all of it"


def test_an_answer_in_many_pieces_arrives_whole(connection: socket.socket) -> None:
    ask(connection, "GET", "/piecewise")
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += connection.recv(65_536)
    assert received.partition(b"\r\n\r\n")[2] == b"4\r\none \r\n4\r\nand \r\n7\r\nanother\r\n0\r\n\r\n"


def test_who_asks_for_the_head_gets_no_body(connection: socket.socket) -> None:
    ask(connection, "HEAD", "/whole")
    assert connection.recv(65_536).endswith(b"\r\n\r\n")
    ask(connection, "GET", "/whole")
    assert connection.recv(65_536).endswith(b"all of it")
