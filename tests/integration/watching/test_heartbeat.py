"""A beat says that the agent can do its work: to the store, to a file, and to whoever listens at a URL."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.http import VendorHttp
from agent.adapters.store import Store
from agent.heartbeat import KNOWN_AS, Heartbeat
from agent.pulse import Pulse
from agent.simulators.server import Fault
from tests.integration.watching.conftest import Listener

SECRET = "canary-ping-key"


class Heart:
    """One agent's heart."""

    def __init__(self, store: Store, clock: FakeClock, path: Path, listener: Listener) -> None:
        self.store, self.clock, self.path = store, clock, path
        self.listener = listener
        self.pulse = Pulse(clock)
        self.pulse.expect("dispatcher", is_vital=True)
        url = f"{listener.url}/ping/{SECRET}"
        key = {"Authorization": f"GenieKey {SECRET}"}
        self.http = VendorHttp("heartbeat", url, timeout_s=1.0, headers=key, secrets=[url])
        self.heart = Heartbeat(
            store, self.pulse, clock, path=path, every_s=30, executor_id="agent-0", url=self.http
        )

    def beat(self) -> dict[str, Any]:
        assert self.heart.tick() == 30
        return self.file()

    def file(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.path.read_text())
        return shown

    @property
    def heard(self) -> int:
        return len(self.listener.requests("/ping/"))


@pytest.fixture
def heart(store: Store, clock: FakeClock, tmp_path: Path, listener: Listener) -> Heart:
    heart = Heart(store, clock, tmp_path / "data" / "heartbeat.json", listener)
    yield heart  # type: ignore[misc]
    heart.http.close()


def test_a_beat_reaches_the_store_the_file_and_the_listener(heart: Heart) -> None:
    shown = heart.beat()
    assert (shown["at"], shown["executor"], shown["problems"]) == (
        "2026-01-05T04:17:23.000000+00:00", "agent-0", [],
    )  # fmt: skip
    assert heart.store.known(KNOWN_AS) == {"": "2026-01-05T04:17:23.000000+00:00"}
    (request,) = heart.listener.requests()
    assert (request.method, request.path) == ("GET", f"/ping/{SECRET}")
    assert request.headers["Authorization"] == f"GenieKey {SECRET}"


def test_while_a_vital_schedule_is_silent_the_listener_hears_nothing_and_the_file_says_why(
    heart: Heart,
) -> None:
    heart.clock.sleep(121)
    shown = heart.beat()
    assert "the schedule dispatcher has not done its work for 121 s" in shown["problems"][0]
    assert heart.heard == 0
    heart.pulse.ticked("dispatcher")
    assert heart.beat()["problems"] == []
    assert heart.heard == 1


def test_while_pages_are_not_delivered_the_listener_hears_nothing(heart: Heart) -> None:
    heart.pulse.hindered("pages", "3 pages are not delivered")
    assert heart.beat()["problems"] == ["3 pages are not delivered"]
    assert heart.heard == 0


def test_while_the_store_cannot_be_written_the_listener_hears_nothing(heart: Heart) -> None:
    with heart.store.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE known")
    assert "the store cannot be written" in heart.beat()["problems"][0]
    assert heart.heard == 0


def test_a_listener_that_fails_is_asked_again_at_the_next_beat(
    heart: Heart, logged: Callable[[], str]
) -> None:
    heart.listener.misbehave(Fault(-1, path="/ping", times=1), Fault(500, path="/ping", times=1))
    for _ in range(3):
        assert heart.beat()["problems"] == []
    assert heart.heard >= 3
    told = logged()
    assert told.count("heartbeat_not_taken") == 2
    assert SECRET not in told


def test_a_file_that_cannot_be_written_stops_no_beat(heart: Heart) -> None:
    heart.path.parent.mkdir()
    heart.path.mkdir()
    assert heart.heart.tick() == 30
    assert heart.heard == 1


def test_nothing_is_left_beside_the_file(heart: Heart) -> None:
    for _ in range(3):
        heart.beat()
    assert [each.name for each in heart.path.parent.iterdir()] == ["heartbeat.json"]
