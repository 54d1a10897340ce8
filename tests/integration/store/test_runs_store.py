"""Runs as they are kept: whose they are, what they remember, what they wait for."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from agent.adapters.fake_clock import FakeClock
from agent.adapters.riding import Deed, Of, riding
from agent.adapters.store import Store
from agent.adapters.store_schema import run_steps, run_wakes
from agent.domain.incident import Status
from agent.domain.records import Changes
from agent.domain.runs import Leg, Lost, Memory, Whereabouts
from tests.integration.store.test_starts_store import MANY, accept, park


class Steps:
    """Rides along with what is written, as a run does."""

    def __init__(self, store: Store, leg: Leg, executor_id: str = "main", **steps: str) -> None:
        self._store = store
        self._leg = leg
        self._executor_id = executor_id
        self.steps = steps
        self.tells = False

    def take(self, deed: Deed, *of: Of) -> None:
        raise NotImplementedError

    def settle(self, *of: Of) -> None:
        pass

    def board(self, connection: sa.Connection) -> None:
        if self.steps:
            self._store.remember(connection, self._leg, self._executor_id, self.steps)

    def arrived(self) -> None:
        self.steps = {}


def begun(store: Store, number: int = 1) -> Leg:
    accept(store, number, service="")
    (leg,) = store.claim(MANY, "main")
    return leg


def write(store: Store, leg: Leg, executor_id: str = "main", **steps: str) -> None:
    with riding(Steps(store, leg, executor_id, **steps)):
        store.learn_own_user_id("PAGENT0")


def rows(store: Store, table: sa.Table) -> int:
    with store.database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_steps_are_remembered_with_the_next_thing_that_is_written(store: Store) -> None:
    leg = begun(store)
    assert store.memory_of(leg, "main") == Memory()
    write(store, leg, one="1", two='"b"')
    assert store.memory_of(leg, "main") == Memory({"one": "1", "two": '"b"'})


def test_steps_are_forgotten_with_what_was_taken_back(store: Store) -> None:
    leg = begun(store)
    steps = Steps(store, leg, one="1")
    with riding(steps), pytest.raises(ZeroDivisionError), store.database.writing():
        raise ZeroDivisionError
    assert store.memory_of(leg, "main") == Memory()
    assert steps.steps == {"one": "1"}


def test_the_first_word_of_a_step_counts(store: Store) -> None:
    leg = begun(store)
    write(store, leg, one="1")
    write(store, leg, one="2")
    assert store.memory_of(leg, "main") == Memory({"one": "1"})


def test_a_leg_has_nothing_to_go_on_with_while_its_run_is_parked(store: Store, clock: FakeClock) -> None:
    leg = begun(store)
    park(store, clock, leg)
    assert store.memory_of(leg, "main") is None
    assert store.whereabouts(leg.incident_id) == Whereabouts(leg, is_parked=True)


def test_the_leg_before_is_over_once_the_next_has_begun(store: Store, clock: FakeClock) -> None:
    leg = begun(store)
    write(store, leg, one="1")
    park(store, clock, leg, for_s=1)
    clock.sleep(2)
    assert store.begin_due("main") == [leg.next]
    assert store.begin_due("main") == []
    assert store.memory_of(leg, "main") is None
    assert store.memory_of(leg.next, "main") == Memory({"one": "1"})


def test_a_process_that_lost_a_run_writes_nothing_more_for_it(store: Store) -> None:
    leg = begun(store)
    assert store.take_over([leg], "worker-2") == [leg.next]
    with pytest.raises(Lost):
        write(store, leg, one="1")
    assert store.own_user_id() == ""
    assert store.memory_of(leg, "main") is None
    write(store, leg.next, "worker-2", one="2")
    assert store.memory_of(leg.next, "worker-2") == Memory({"one": "2"})


def test_of_two_that_take_a_run_over_one_has_it(store: Store) -> None:
    leg = begun(store)
    assert store.take_over([leg], "worker-2") == [leg.next]
    assert store.take_over([leg], "worker-3") == []
    assert store.legs_under_way("worker-2") == [leg.next]


def test_a_run_that_lost_twenty_processes_is_taken_over_no_more(store: Store) -> None:
    leg = begun(store)
    for _ in range(20):
        (leg,) = store.take_over([leg], "worker-2")
    assert store.take_over([leg], "worker-3") == []


def test_a_parked_run_is_nobodys_and_cannot_be_taken_over(store: Store, clock: FakeClock) -> None:
    leg = begun(store)
    park(store, clock, leg)
    assert store.legs_under_way() == []
    assert store.take_over([leg], "worker-2") == []


def test_a_wake_up_that_comes_before_the_wait_ends_it(store: Store, clock: FakeClock) -> None:
    leg = begun(store)
    store.wake(leg.incident_id, "decision")
    until = clock.now() + timedelta(seconds=60)
    assert store.park(leg, "decision", until=until, woken={"wait": "true"}) is True
    assert store.memory_of(leg, "main") == Memory({"wait": "true"})
    assert store.park(leg, "decision", until=until, woken={"wait-2": "true"}) is None


def test_a_wait_whose_time_is_over_is_not_begun(store: Store, clock: FakeClock) -> None:
    assert store.park(begun(store), "decision", until=clock.now(), woken={}) is False


def test_a_wake_up_on_another_topic_is_kept_for_it(store: Store, clock: FakeClock) -> None:
    leg = begun(store)
    park(store, clock, leg)
    store.wake(leg.incident_id, "another")
    assert store.begin_due("main") == []
    store.wake(leg.incident_id, "decision")
    assert store.begin_due("main") == [leg.next]


def test_wake_ups_are_many_but_one(store: Store, clock: FakeClock) -> None:
    leg = begun(store)
    for _ in range(3):
        store.wake(leg.incident_id, "decision")
    assert rows(store, run_wakes) == 1


def test_what_is_not_under_way_cannot_be_woken(store: Store) -> None:
    accept(store, 1)
    store.wake("inc-0", "decision")
    assert rows(store, run_wakes) == 0


def test_a_run_ends_with_its_incident(store: Store) -> None:
    leg = begun(store)
    write(store, leg, one="1")
    store.record(leg.incident_id, (), changes=Changes(status=Status.ESCALATED))
    assert store.whereabouts(leg.incident_id) is None
    assert store.memory_of(leg, "main") is None


def test_what_a_run_writes_after_its_end_is_written_without_its_steps(store: Store) -> None:
    """Somebody else ended the incident; how a last attempt ended is still told."""
    leg = begun(store)
    store.record(leg.incident_id, (), changes=Changes(status=Status.ESCALATED))
    write(store, leg, one="1")
    assert store.own_user_id() == "PAGENT0"
    assert rows(store, run_steps) == 0


def test_steps_of_what_has_ended_are_swept_away_and_no_others(store: Store) -> None:
    ended, running = begun(store, 1), begun(store, 2)
    for leg in (ended, running):
        write(store, leg, one="1")
        store.wake(leg.incident_id, "decision")
    store.record(ended.incident_id, (), changes=Changes(status=Status.RESOLVED))
    store.sweep_runs()
    assert (rows(store, run_steps), rows(store, run_wakes)) == (1, 1)
    assert store.memory_of(running, "main") == Memory({"one": "1"})


def test_a_thousand_that_wait_are_begun_some_at_a_time(store: Store, clock: FakeClock) -> None:
    for number in range(40):
        park(store, clock, begun(store, number), for_s=1)
    clock.sleep(2)
    first, then = store.begin_due("main"), store.begin_due("main")
    assert len(first) == 32
    assert len(then) == 8
