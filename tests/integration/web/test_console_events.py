"""The stream that keeps an open page current: few are held, all of them end, and none is a sign of life."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from agent.domain.stops import StopAsked, StopScope
from agent.pipeline import stops
from agent.pipeline.telling import Teller
from agent.web.console.events import stream
from agent.web.console.frame import LIVE_HEADER
from tests.integration.web.conftest import Site
from tests.integration.web.console_site import Visitor, with_people


@pytest.fixture
def site(site: Site) -> Site:
    return with_people(site)


def something_happens(site: Site) -> None:
    teller = Teller(site.store, site.world.context.redactor, frozenset())
    stops.put(teller, StopAsked(StopScope.ALL, "", "a drill", "rita"), now=site.world.clock.now())


def test_what_changed_before_one_asked_is_told_at_once(site: Site) -> None:
    vera = Visitor(site, "vera")
    before = site.store.last_seq()
    something_happens(site)
    answer = vera.get(f"/events?after={before}")
    assert answer.mimetype == "text/event-stream"
    assert f"event: change\ndata: {site.store.last_seq()}" in answer.text


def test_what_changes_while_one_waits_is_told(site: Site) -> None:
    vera = Visitor(site, "vera")
    before = site.store.last_seq()
    later = threading.Timer(0.2, something_happens, [site])
    later.start()
    answer = vera.get(f"/events?after={before}")
    later.join()
    assert "event: change" in answer.text


def test_a_browser_that_comes_back_says_what_it_saw_last(site: Site) -> None:
    vera = Visitor(site, "vera")
    something_happens(site)
    site.ready.clear()  # nothing is waited for
    seen = {"Last-Event-ID": str(site.store.last_seq())}
    assert "event: same" in vera.get("/events?after=0", **seen).text


def test_a_stream_ends_with_the_daemon(site: Site) -> None:
    vera = Visitor(site, "vera")
    stopping = threading.Timer(0.2, site.ready.clear)
    stopping.start()
    assert "event: same" in vera.get(f"/events?after={site.store.last_seq()}").text
    stopping.join()


class OnePlace(threading.BoundedSemaphore):
    """Says when it was taken, so that a test need not try to take it itself."""

    def __init__(self) -> None:
        super().__init__(1)
        self.taken = threading.Event()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        got = super().acquire(blocking, timeout)
        if got:
            self.taken.set()
        return got


def test_beyond_a_few_nobody_is_held(site: Site) -> None:
    places = OnePlace()
    last = site.store.last_seq()
    held = stream(site.parts, places, last)
    next(held)
    waiting = threading.Thread(target=lambda: list(held))
    waiting.start()
    assert places.taken.wait(timeout=30)
    beyond = b"".join(stream(site.parts, places, last))
    assert waiting.is_alive()
    assert b"retry: 2000" in beyond
    assert b"event: same" in beyond
    site.ready.clear()
    waiting.join(timeout=30)
    assert places.acquire(blocking=False)


def test_a_page_that_asks_for_itself_keeps_nobody_signed_in(site: Site) -> None:
    vera = Visitor(site, "vera")
    for _ in range(4):
        site.world.clock.sleep(timedelta(minutes=20).total_seconds())
        last = vera.get("/", **{LIVE_HEADER: "1"})
    assert last.status_code in (303, 401)
    assert "Waits for your word" not in last.text
