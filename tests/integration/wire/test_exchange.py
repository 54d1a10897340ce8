"""One request and its answer: over in time whatever the other side does; what stopped it is told in words."""

from __future__ import annotations

import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import pytest

from agent.adapters import patience
from agent.adapters.exchange import Exchange, NoAnswer, RawAnswer, Trouble, why_not_reached
from tests.raw_server import Answer, RawServer, raw_servers

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
Serve = Callable[[Answer], RawServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with raw_servers() as start:
        yield start


def exchange(url: str, *, timeout_s: float = 5.0, max_bytes: int = 1000) -> Exchange:
    return Exchange(url, timeout_s=timeout_s, max_bytes=max_bytes)


def ask(url: str, *, timeout_s: float = 5.0, content: bytes | None = None) -> RawAnswer | NoAnswer:
    asking = exchange(url, timeout_s=timeout_s)
    try:
        return asking.send("POST" if content else "GET", f"{url}/x", headers={"A": "b"}, content=content)
    finally:
        asking.close()


def drip(first: bytes) -> Answer:
    def answer(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(first)
        while not over.wait(0.02):
            peer.sendall(b"x")

    return answer


DRIPS = {
    "before the status": b"",
    "in a header": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n300\r\n",
}


@pytest.mark.parametrize("first", DRIPS.values(), ids=DRIPS)
def test_a_peer_that_sends_a_byte_at_a_time_does_not_hold_us(serve: Serve, first: bytes) -> None:
    began = time.monotonic()
    answer = ask(serve(drip(first)).url, timeout_s=0.3)
    assert answer == NoAnswer(Trouble.TIMEOUT, "was not answered within 0.3 s")
    assert 0.25 < time.monotonic() - began < 3


def test_a_peer_that_does_not_read_what_we_send_does_not_hold_us(serve: Serve) -> None:
    server = serve(lambda _, over: over.wait(10))
    began = time.monotonic()
    answer = ask(server.url, timeout_s=0.3, content=b"x" * 20_000_000)
    assert isinstance(answer, NoAnswer)
    assert answer.trouble is Trouble.TIMEOUT
    assert time.monotonic() - began < 3


def test_a_name_server_that_does_not_answer_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        answered.wait(10)
        raise socket.gaierror

    monkeypatch.setattr(patience.socket, "getaddrinfo", look_up)
    try:
        for _ in range(3):
            began = time.monotonic()
            answer = ask("http://dead-name-server.example", timeout_s=0.2)
            assert answer == NoAnswer(Trouble.TIMEOUT, "was not answered within 0.2 s")
            assert time.monotonic() - began < 3
        assert asked == ["dead-name-server.example"]  # one thread waits for it, however often we ask
    finally:
        answered.set()


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda peer, _: peer.sendall(HEAD + b"\r\nok"))
    port = int(server.url.rpartition(":")[2])
    monkeypatch.setattr(patience, "addresses_of", lambda *_, **__: ("127.0.0.254", "127.0.0.1"))
    answer = ask(f"http://two-addresses.example:{port}")
    assert isinstance(answer, RawAnswer)
    assert answer.body == b"ok"


def test_a_connection_is_kept_and_used_again(serve: Serve) -> None:
    def twice(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(HEAD + b"\r\n1.")
        if peer.recv(65_536):
            peer.sendall(HEAD + b"\r\n2.")
        over.wait(10)

    url = serve(twice).url
    asking = exchange(url)
    answers = [asking.send("GET", f"{url}/x", headers={}) for _ in range(2)]
    asking.close()
    assert [answer.body for answer in answers if isinstance(answer, RawAnswer)] == [b"1.", b"2."]


def test_a_body_longer_than_allowed_is_not_read(serve: Serve) -> None:
    server = serve(lambda peer, _: peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000))
    assert ask(server.url) == NoAnswer(Trouble.TOO_LONG, "was answered with an endless body")


@pytest.mark.parametrize(
    ("sent", "trouble"),
    [
        (b"", Trouble.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Trouble.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Trouble.CUT_OFF),
        (b"220 mail.example.com ESMTP\r\n\r\n", Trouble.NOT_HTTP),
    ],
    ids=["nothing", "half a head", "half a body", "no HTTP"],
)
def test_what_is_no_whole_answer_is_told_apart(serve: Serve, sent: bytes, trouble: Trouble) -> None:
    answer = ask(serve(lambda peer, _: peer.sendall(sent)).url)
    assert isinstance(answer, NoAnswer)
    assert answer.trouble is trouble


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://\u2028.example"])
def test_what_cannot_be_sent_is_no_question_of_trying_again(url: str) -> None:
    asking = exchange("http://127.0.0.1:9")
    answer = asking.send("GET", url, headers={})
    asking.close()
    assert isinstance(answer, NoAnswer)
    assert answer.trouble in (Trouble.UNSENDABLE, Trouble.UNREACHABLE)


def test_a_header_with_a_line_break_is_not_sent(serve: Serve) -> None:
    url = serve(lambda peer, _: peer.sendall(HEAD + b"\r\nok")).url
    asking = exchange(url)
    answer = asking.send("GET", f"{url}/x", headers={"Key": "a\r\nX-Evil: 1"})
    asking.close()
    assert answer == NoAnswer(Trouble.UNSENDABLE, "cannot be sent as HTTP")


def test_a_proxy_of_the_environment_is_asked_and_told_who_we_are(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def proxy(peer: socket.socket, _: threading.Event) -> None:
        peer.sendall(HEAD + b"\r\nok")

    server = serve(proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://me:pass%20word@"))
    answer = ask("http://vendor.example.com")
    assert isinstance(answer, RawAnswer), heard
    monkeypatch.setenv("no_proxy", "vendor.example.com")
    assert isinstance(ask("http://vendor.example.com", timeout_s=2.0), NoAnswer)


def test_a_proxy_that_refuses_is_told_as_one(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda peer, _: peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", server.url)
    answer = ask("https://vendor.example.com")
    assert answer == NoAnswer(Trouble.UNREACHABLE, "cannot be reached (the proxy says 403 Forbidden)")


def test_the_reason_is_found_beneath_what_libraries_made_of_it() -> None:
    wrapped = RuntimeError("https://secret.example")
    wrapped.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert why_not_reached(wrapped) == "connection refused"
    assert why_not_reached(RuntimeError(wrapped.__cause__)) == "connection refused"
    assert why_not_reached(ValueError("https://secret.example")) == "the connection failed"
    assert why_not_reached(None) == "the connection failed"


def test_whoever_is_forgotten_leaves_no_connection_behind(serve: Serve) -> None:
    hung_up = threading.Event()

    def answer(peer: socket.socket, _: threading.Event) -> None:
        peer.sendall(HEAD + b"\r\nok")
        peer.settimeout(30)
        if peer.recv(1) == b"":
            hung_up.set()

    url = serve(answer).url
    asking = exchange(url)
    assert isinstance(asking.send("GET", f"{url}/x", headers={}), RawAnswer)
    assert not hung_up.is_set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del asking
        gc.collect()
    assert hung_up.wait(30)
