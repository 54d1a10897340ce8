"""Webhooks that come together are answered together: each is told what it would be told by itself."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, request

from agent.adapters.pagerduty_source import PagerDutySource
from agent.ports.sources import Malformed, Read
from agent.web import lane
from agent.web.app import create_app
from agent.web.webhook_answer import Answer
from agent.web.webhooks import Desk, Post
from tests.acceptance.conftest import wait_until
from tests.integration.web.conftest import WEBHOOK_SECRET, Site, signature, triggered
from tests.integration.web.wire import serving, told

# the same answers as by the application


#: More than the kernel holds of it, and less than makes the server wait before it looks at the next request.
UNREAD = 15 << 20


@dataclass
class Told:
    """An answer, without the time of day."""

    status: int
    reason: str
    headers: dict[str, str]
    body: Any


def signed(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    return {"X-PagerDuty-Signature": signature(body, secret), "Content-Type": "application/json"}


def posted(port: int, path: str, body: bytes, headers: dict[str, str]) -> Told:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", path, body=body, headers=headers)
    answer = connection.getresponse()
    told = {name.lower(): value for name, value in answer.getheaders() if name.lower() != "date"}
    parsed = json.loads(answer.read())
    connection.close()
    return Told(answer.status, answer.reason, told, parsed)


BODY = json.dumps(triggered("P1")).encode()

UPGRADE = {"Connection": "upgrade", "Upgrade": "websocket"}

ALIKE = {
    "not signed": ("/webhook/pagerduty", BODY, {}),
    "signed by somebody else": ("/webhook/pagerduty", BODY, signed(BODY, "another")),
    "no JSON": ("/webhook/pagerduty", b"{", signed(b"{")),
    "no body": ("/webhook/pagerduty", b"", signed(b"")),
    "a source that is not configured": ("/webhook/grafana", BODY, signed(BODY)),
    "a source that cannot be": ("/webhook/nobody", BODY, signed(BODY)),
    "an address below a source": ("/webhook/pagerduty/further", BODY, signed(BODY)),
    "an address with a query": ("/webhook/pagerduty?a=b", BODY, {}),
    "an address that is written otherwise": ("/webhook/%70agerduty", BODY, {}),
    "an address with further slashes": ("//webhook/pagerduty", BODY, {}),
    "a name that no server can have": ("/webhook/pagerduty", BODY, {**signed(BODY), "Host": "a..b"}),
    "an upgrade": ("/webhook/pagerduty", BODY, {**signed(BODY), **UPGRADE}),
}


@pytest.fixture
def port(site: Site) -> Iterator[int]:
    desk = Desk(site.parts)
    with serving(create_app(site.parts, desk), desk) as port:
        yield port


@pytest.fixture
def plain(site: Site) -> Iterator[int]:
    """The same without a lane."""
    with serving(create_app(site.parts), None) as port:
        yield port


@pytest.mark.parametrize(("path", "body", "headers"), ALIKE.values(), ids=ALIKE.keys())
def test_the_answer_is_the_one_that_the_application_gives(
    port: int, plain: int, path: str, body: bytes, headers: dict[str, str]
) -> None:
    assert posted(port, path, body, headers) == posted(plain, path, body, headers)


def test_one_that_is_taken_is_told_so_and_the_second_time_it_is_known(
    site: Site, port: int, plain: int
) -> None:
    told = posted(port, "/webhook/pagerduty", BODY, signed(BODY))
    (incident,) = site.store.incidents()
    assert told.status == 202
    assert told.body == {"received": True, "outcome": "accepted", "incident": incident.id}
    again = posted(port, "/webhook/pagerduty", BODY, signed(BODY))
    assert again == posted(plain, "/webhook/pagerduty", BODY, signed(BODY))
    assert again.body["outcome"] == "duplicate"
    assert site.notified == 1


def test_before_it_is_ready_a_webhook_is_asked_for_again(site: Site, port: int, plain: int) -> None:
    site.ready.clear()
    told = posted(port, "/webhook/pagerduty", b"{", {})
    assert (told.status, told.headers["retry-after"]) == (503, "2")
    assert told == posted(plain, "/webhook/pagerduty", b"{", {})


# many at once


def post(body: bytes, **headers: str) -> Post:
    return Post("pagerduty", body, {name.lower().replace("_", "-"): each for name, each in headers.items()})


def by_pagerduty(source_id: str) -> Post:
    body = json.dumps(triggered(source_id)).encode()
    return post(body, **{name.replace("-", "_"): value for name, value in signed(body).items()})


def test_each_of_many_is_told_what_became_of_it(site: Site) -> None:
    desk = Desk(site.parts)
    posts = [by_pagerduty("P1"), post(b"{}"), by_pagerduty("P2"), Post("nobody", b"", {}), by_pagerduty("P1")]
    answers = desk.answer_all(posts)
    assert [answer.status for answer in answers] == [202, 401, 202, 404, 202]
    assert [answer.body["outcome"] for answer in answers] == [
        "accepted",
        "not genuine",
        "accepted",
        "not configured",
        "duplicate",
    ]
    found = {incident.alert.source_id: incident.id for incident in site.store.incidents()}
    assert [answers[0].body["incident"], answers[2].body["incident"]] == [found["P1"], found["P2"]]
    assert site.notified == 1


def test_a_mistake_of_ours_with_one_is_a_500_for_that_one_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PagerDutySource.read

    def mistaken(self: PagerDutySource, raw: bytes, headers: dict[str, str]) -> Read | Malformed:
        if b'"P2"' in raw:
            raise ZeroDivisionError
        return whole(self, raw, headers)

    monkeypatch.setattr(PagerDutySource, "read", mistaken)
    answers = Desk(site.parts).answer_all([by_pagerduty("P1"), by_pagerduty("P2"), by_pagerduty("P3")])
    assert [answer.status for answer in answers] == [202, 500, 202]
    assert {incident.alert.source_id for incident in site.store.incidents()} == {"P1", "P3"}


def test_over_the_backlog_those_for_whom_there_is_no_room_are_asked_for_again(site: Site) -> None:
    site.settings["limits"] = {"backlog": 2}
    answers = Desk(site.parts).answer_all([by_pagerduty(f"P{number}") for number in range(4)])
    assert [(answer.status, answer.again_s) for answer in answers] == [(202, 0)] * 2 + [(503, 30)] * 2
    assert len(site.store.incidents()) == 2


# who goes by the lane


@dataclass
class Desked:
    """A desk that answers when its door is open, and what it was asked."""

    always: Sequence[tuple[str, str]] = (("X-Always", "said"),)
    asked: list[list[str]] = field(default_factory=list)
    inside: threading.Event = field(default_factory=threading.Event)
    door: threading.Event = field(default_factory=threading.Event)
    broken: bool = False

    def is_quick(self, name: str) -> bool:
        return name == "quick"

    def answer_all(self, posts: Sequence[Post]) -> Sequence[Answer]:
        self.asked.append([post.raw.decode() for post in posts])
        self.inside.set()
        assert self.door.wait(5)
        if self.broken:
            raise ZeroDivisionError
        return [Answer(202, {"to": post.raw.decode()}) for post in posts]


@dataclass
class Served:
    desk: Desked
    port: int

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)


@pytest.fixture
def served() -> Iterator[Served]:
    desk = Desked()
    app = Flask("answers", static_folder=None)
    app.post("/webhook/<name>", endpoint="webhook")(lambda name: f"{name}: {len(request.get_data())}")
    app.get("/now", endpoint="now")(lambda: "here")
    app.get("/much", endpoint="much")(lambda: "y" * UNREAD)
    with serving(app, desk) as port:
        yield Served(desk, port)
        desk.door.set()


def webhook(body: str, *, name: str = "quick", version: str = "1.1", further: str = "") -> bytes:
    head = (
        f"POST /webhook/{name} HTTP/{version}\r\nHost: here\r\nContent-Length: {len(body)}\r\n{further}\r\n"
    )
    return (head + body).encode()


def ends_with(text: str) -> Callable[[bytes], bool]:
    return lambda received: received.endswith(text.encode())


def test_those_that_come_while_others_are_stored_are_stored_together(served: Served) -> None:
    with ExitStack() as stack:
        first, *others = [stack.enter_context(served.connected()) for _ in range(10)]
        first.sendall(webhook("0"))
        assert served.desk.inside.wait(5)
        for number, each in enumerate(others, 1):
            each.sendall(webhook(str(number)))
        with served.connected() as last:  # is read after them
            last.sendall(b"GET /now HTTP/1.1\r\nHost: here\r\n\r\n")
            told(last, until=ends_with("here"))
        served.desk.door.set()
        for number, each in enumerate([first, *others]):
            answer = told(each, until=ends_with(f'{{"to":"{number}"}}\n'))
            assert answer.startswith(b"HTTP/1.1 202 ACCEPTED\r\n")
            assert b"\r\nX-Always: said\r\n" in answer
    assert [len(together) for together in served.desk.asked] == [1, 9]


def test_what_may_take_long_is_the_applications(served: Served) -> None:
    with served.connected() as connection:
        connection.sendall(webhook("x", name="slow"))
        told(connection, until=ends_with("slow: 1"))
        connection.sendall(webhook("x" * 100_000))
        told(connection, until=ends_with("quick: 100000"))
    assert served.desk.asked == []


def test_a_desk_that_breaks_leaves_each_to_the_application(served: Served) -> None:
    served.desk.broken = True
    served.desk.door.set()
    with served.connected() as connection:
        for _ in range(2):
            connection.sendall(webhook("abc"))
            told(connection, until=ends_with("quick: 3"))
    assert len(served.desk.asked) == 2


def test_who_has_not_read_what_was_sent_before_goes_by_a_thread_that_may_wait(
    served: Served,
) -> None:
    served.desk.door.set()
    with served.connected() as lazy, served.connected() as other:
        lazy.sendall(b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n" + webhook("x"))
        other.sendall(webhook("2"))
        told(other, until=ends_with('{"to":"2"}\n'))
        assert told(lazy, until=ends_with("quick: 1")).count(b"y") >= UNREAD
    assert served.desk.asked == [["2"]]


def test_of_those_with_much_to_read_few_are_taken_together(served: Served) -> None:
    with ExitStack() as stack:
        first, *others = [stack.enter_context(served.connected()) for _ in range(10)]
        first.sendall(webhook("0"))
        assert served.desk.inside.wait(5)
        for each in others:
            each.sendall(webhook("x" * 60_000))
        with served.connected() as last:
            last.sendall(b"GET /now HTTP/1.1\r\nHost: here\r\n\r\n")
            told(last, until=ends_with("here"))
        served.desk.door.set()
        for each in others:
            told(each, until=ends_with('x"}\n'))
    together = [len(each) for each in served.desk.asked]
    assert (sum(together), together[0]) == (10, 1)
    assert max(together) <= 5, "the fifth is over 256 KiB"


def test_a_log_that_breaks_as_well_does_not_end_the_thread(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when there is no memory left, twice in a row."""
    served.desk.door.set()
    with served.connected() as before, served.connected() as after:
        with monkeypatch.context() as broken:
            broken.setattr(Desked, "answer_all", lambda *_: [])
            broken.setattr(lane, "log", None)
            before.sendall(webhook("1"))
            assert before.recv(65_536) == b""  # closed, so that it is sent again
        after.sendall(webhook("2"))
        told(after, until=ends_with('{"to":"2"}\n'))


def test_a_server_that_has_stopped_leaves_no_thread_of_the_lane(served: Served) -> None:
    def lanes() -> int:
        return sum(each.name == "webhooks" for each in threading.enumerate())

    before = lanes()
    with serving(Flask("answers", static_folder=None), Desked()):
        assert lanes() == before + 1
    wait_until(lambda: lanes() == before, "it has ended")


def test_webhooks_sent_without_waiting_are_answered_in_their_order(served: Served) -> None:
    served.desk.door.set()
    with served.connected() as hasty:
        now = b"GET /now HTTP/1.1\r\nHost: here\r\n\r\n"
        hasty.sendall(webhook("1") + now + webhook("2") + webhook("3"))
        words = told(hasty, until=ends_with('{"to":"3"}\n'))
        places = [words.index(each) for each in (b'{"to":"1"}', b"here", b'{"to":"2"}', b'{"to":"3"}')]
        assert places == sorted(places)


@pytest.mark.parametrize(("version", "further"), [("1.1", "Connection: close\r\n"), ("1.0", "")])
def test_whoever_wants_no_more_sees_the_end(served: Served, version: str, further: str) -> None:
    served.desk.door.set()
    with served.connected() as once:
        once.sendall(webhook("1", version=version, further=further))
        received = b""
        while piece := once.recv(65_536):
            received += piece
        assert received.endswith(b'{"to":"1"}\n')


def test_one_who_goes_before_the_answer_holds_up_nobody(served: Served) -> None:
    with served.connected() as gone:
        gone.sendall(webhook("1"))
        assert served.desk.inside.wait(5)
    served.desk.door.set()
    with served.connected() as other:
        other.sendall(webhook("2"))
        told(other, until=ends_with('{"to":"2"}\n'))


def test_a_stop_waits_for_those_who_are_being_answered() -> None:
    desk = Desked()
    with serving(Flask("answers", static_folder=None), desk) as port:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(webhook("1"))
        assert desk.inside.wait(5)
        threading.Timer(0.2, desk.door.set).start()
    with connection:
        assert told(connection, until=ends_with('{"to":"1"}\n')).startswith(b"HTTP/1.1 202")
