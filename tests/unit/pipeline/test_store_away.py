"""The database goes away while a command runs: the command ends by itself, and its end is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.decisions import Attempt, AttemptEnd
from agent.domain.errors import StoreAwayError, StoreError
from agent.domain.incident import Status
from agent.domain.records import AttemptKey
from tests.unit.pipeline.conftest import HookedSandbox, World, runbook, step

FLUSH = "redis-cli FLUSHDB"


class AwayStore(Store):
    """Cannot be asked, and takes no end of an attempt, as often as a test says."""

    ends_refused = 0
    asks_refused = 0

    def end_attempt(self, key: AttemptKey, attempt: Attempt) -> None:
        if self.ends_refused:
            self.ends_refused -= 1
            raise StoreAwayError("the database cannot be reached or is busy")
        super().end_attempt(key, attempt)

    def may_go_on(self, incident_id: str) -> bool:
        if self.asks_refused:
            self.asks_refused -= 1
            raise StoreAwayError("the database cannot be reached or is busy")
        return super().may_go_on(incident_id)


@pytest.fixture
def store(sqlite_url: str, clock: FakeClock) -> AwayStore:
    return AwayStore(sqlite_url, clock)


@pytest.fixture
def world(store: AwayStore, clock: FakeClock, tmp_path: Path) -> World:
    (tmp_path / "runbooks").mkdir()
    world = World(store, clock, tmp_path / "runbooks", HookedSandbox())
    world.runbook(runbook(steps=step(1, FLUSH, keys='Expected output: "OK"')))
    world.answers(FLUSH, "OK", "OK")
    return world


def test_the_end_of_a_command_is_written_when_the_store_is_back_and_it_does_not_run_again(
    world: World, store: AwayStore
) -> None:
    store.ends_refused = 100
    incident = world.page()
    assert incident.status is Status.RESOLVED
    assert world.sandbox.commands() == [FLUSH]
    assert [attempt.end for attempt in store.attempts(incident.id)] == [AttemptEnd.SUCCEEDED]


def test_a_store_that_stays_away_is_not_waited_for_without_an_end(world: World, store: AwayStore) -> None:
    store.ends_refused = 10_000
    with pytest.raises(StoreError):
        world.page()
    assert world.clock.monotonic() == pytest.approx(600, abs=60)


def test_a_command_is_not_cut_off_because_nobody_can_say_whether_it_may_go_on(
    world: World, store: AwayStore
) -> None:
    asked: list[bool] = []

    def ask_while_it_runs() -> None:
        store.asks_refused = 3
        watch = world.sandbox.should_stop
        asked.extend(watch() for _ in range(5))

    world.when_run(FLUSH, ask_while_it_runs)
    assert world.page().status is Status.RESOLVED
    assert asked == [False] * 5
