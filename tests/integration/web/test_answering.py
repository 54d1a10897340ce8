"""Whether anybody still waits for an answer: what a stop looks at before it closes the door."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest

from agent.web.answering import Answering

Start = Callable[..., object]


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_answer = threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, object], start_response: Start) -> Iterable[bytes]:
        self.begun.set()
        assert self.may_answer.wait(5)
        start_response("200 OK", [])
        return [b"ok"]


def ask(app: Answering) -> threading.Thread:
    """As a server does: call, send what comes, close it."""

    def serve() -> None:
        answer = app({}, lambda *_: None)
        b"".join(answer)
        answer.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_nobody_waits_where_nobody_asked() -> None:
    assert Answering(Slow()).wait_until_answered(at_most_s=0)


def test_a_request_that_is_being_answered_is_waited_for() -> None:
    slow = Slow()
    app = Answering(slow)
    thread = ask(app)
    assert slow.begun.wait(5)
    assert not app.wait_until_answered(at_most_s=0.05)
    slow.may_answer.set()
    thread.join(5)
    assert app.wait_until_answered(at_most_s=0)


def test_an_application_that_breaks_leaves_nobody_waiting() -> None:
    def broken(environ: dict[str, object], start_response: Start) -> Iterable[bytes]:
        raise ZeroDivisionError

    app = Answering(broken)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        app({}, lambda *_: None)
    assert app.wait_until_answered(at_most_s=0)
