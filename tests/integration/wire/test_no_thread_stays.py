"""What we gave up on does not live on: no thread stays behind with a peer that never comes to an end."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from agent.adapters.anthropic_advisor import AnthropicAdvisor, Asking
from agent.adapters.patience import ending_after, watched
from agent.domain.advice import AdviceRequest, NoAdvice, NoAdviceReason, Offered
from agent.library.bindings import why_not_allowed
from tests.raw_server import Answer, raw_servers

ASK = AdviceRequest((Offered("c1", "Redis timeout"), Offered("c2", "Disk full")), '{"title": "Redis"}')


def drip(first: bytes) -> Answer:
    def answer(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(first)
        while not over.wait(0.02):
            peer.sendall(b"x")

    return answer


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{"]
)
def test_the_advisors_thread_ends_with_its_deadline(first: bytes) -> None:
    with raw_servers() as serve:
        url = serve(drip(first)).url
        asking = Asking("claude-haiku-4-5", deadline_s=0.3)
        advisor = AnthropicAdvisor("sk-ant-test", asking, why_not_allowed=why_not_allowed, base_url=url)
        answer = advisor.advise(ASK)
        assert isinstance(answer, NoAdvice)
        assert answer.reason is NoAdviceReason.TIMEOUT
        for thread in threads_named("advisor"):
            thread.join(5)
        assert threads_named("advisor") == []


def test_a_connection_that_is_cut_keeps_its_number_until_its_reader_lets_go() -> None:
    near, far = socket.socketpair()
    with near, far, ending_after(0.1) as ending:
        number = near.fileno()
        watched(near)
        near.settimeout(5)
        began = time.monotonic()
        assert near.recv(1) == b""
        assert time.monotonic() - began < 4
        assert ending.is_over
        assert near.fileno() == number


def test_a_connection_that_comes_after_the_end_is_cut_at_once() -> None:
    near, far = socket.socketpair()
    with near, far, ending_after(0.05) as ending:
        while not ending.is_over:
            threading.Event().wait(0.01)
        watched(near)
        near.settimeout(5)
        assert near.recv(1) == b""
