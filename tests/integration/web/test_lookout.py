"""The web server's loop: everybody is read from and answered, whoever else is connected or goes away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from flask import Flask

from tests.integration.web.wire import serving, told

HELD_BACK = 8 << 20


@dataclass
class Served:
    """A server with a door that its requests may have to wait at."""

    port: int = 0
    door: threading.Event = field(default_factory=threading.Event)

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    app = Flask("answers", static_folder=None)
    app.get("/now", endpoint="now")(lambda: "here")
    app.get("/later", endpoint="later")(lambda: str(served.door.wait(5)))
    app.get("/much", endpoint="much")(lambda: "x" * HELD_BACK)
    with serving(app) as served.port:
        yield served
        served.door.set()


def ask(connection: socket.socket, path: str, *further: str) -> None:
    lines = [f"GET {each} HTTP/1.1\r\nHost: here\r\n\r\n" for each in (path, *further)]
    connection.sendall("".join(lines).encode())


def body(connection: socket.socket, size: int) -> bytes:
    return told(connection, until=lambda data: len(data.partition(b"\r\n\r\n")[2]) >= size)[-size:]


def test_many_who_ask_at_once_are_all_answered_again_and_again(served: Served) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(served.connected()) for _ in range(50)]
        for _ in range(5):
            for each in many:
                ask(each, "/now")
            assert [body(each, 4) for each in many] == [b"here"] * 50


def test_others_are_answered_while_one_waits_and_so_is_that_one_then(served: Served) -> None:
    with served.connected() as patient, served.connected() as other:
        ask(patient, "/later")
        ask(other, "/now")
        assert body(other, 4) == b"here"
        served.door.set()
        assert body(patient, 4) == b"True"
        ask(patient, "/now")
        assert body(patient, 4) == b"here"


def test_requests_sent_without_waiting_are_answered_in_their_order(served: Served) -> None:
    served.door.set()
    with served.connected() as hasty:
        ask(hasty, "/later", "/now", "/later")
        words = told(hasty, until=lambda data: data.count(b"True") == 2)
        assert words.index(b"True") < words.index(b"here") < words.rindex(b"True")


def test_who_reads_slowly_gets_all_of_it(served: Served) -> None:
    with served.connected() as slow, served.connected() as other:
        ask(slow, "/much")
        ask(other, "/now")
        assert body(other, 4) == b"here"
        assert body(slow, HELD_BACK) == b"x" * HELD_BACK


def test_one_who_comes_where_another_has_gone_is_answered(served: Served) -> None:
    for _ in range(20):  # each gets the number of the one before
        with served.connected() as brief:
            ask(brief, "/now")
            assert body(brief, 4) == b"here"


def test_one_who_goes_before_the_answer_holds_up_nobody(served: Served) -> None:
    with served.connected() as gone:
        ask(gone, "/later")
    served.door.set()
    with served.connected() as other:
        ask(other, "/now")
        assert body(other, 4) == b"here"


def test_whoever_asks_for_the_connection_to_be_closed_sees_its_end(served: Served) -> None:
    with served.connected() as once:
        once.sendall(b"GET /now HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := once.recv(65_536):
            received += piece
        assert received.endswith(b"here")
