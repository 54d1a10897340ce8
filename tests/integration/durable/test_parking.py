"""A run that waits ends its leg: nothing is held while nobody answers."""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from typing import Any

from agent.adapters.store import Store
from agent.domain.runs import Leg, RunState, Whereabouts
from agent.ports import Run
from tests.integration.durable.conftest import DEADLINE_S, Launch, ended, eventually

Told = queue.Queue[Any]


def heard(told: Told, count: int) -> list[Any]:
    return [told.get(timeout=DEADLINE_S) for _ in range(count)]


def asks(told: Told) -> Any:
    """Tells, asks, waits, and tells what came of it."""

    def handle(run: Run, incident_id: str) -> None:
        run.step("asked", lambda: told.put("asked"), returns=None)
        woken = run.wait("decision", 600)
        run.step("settled", lambda: told.put(woken), returns=None)

    return handle


def parked(store: Store, incident_id: str, leg: int = 1) -> bool:
    return store.whereabouts(incident_id) == Whereabouts(Leg(incident_id, leg), is_parked=True)


def test_runs_that_wait_hold_no_thread(launch: Launch, store: Store, told: Told) -> None:
    others = threads_at_work()  # held for ever by runs of other tests, as at the end of a process
    durable = launch(asks(told))
    durable.start("inc-0")
    eventually(lambda: parked(store, "inc-0"), "the first waits")
    for number in range(1, 40):
        durable.start(f"inc-{number}")
    eventually(lambda: all(parked(store, f"inc-{number}") for number in range(40)), "all of them wait")
    eventually(lambda: threads_at_work() <= others, "their threads are free")
    assert durable.state("inc-39") is RunState.ALIVE
    assert durable.states() == {}


def threads_at_work() -> int:
    """How many threads carry out a leg at the moment."""
    stacks = [traceback.extract_stack(frame) for frame in sys._current_frames().values()]
    return sum(any(entry.name == "_carry_out" for entry in stack) for stack in stacks)


def test_steps_before_a_wait_are_not_done_again_behind_it(launch: Launch, store: Store, told: Told) -> None:
    durable = launch(asks(told))
    durable.start("inc-1")
    eventually(lambda: parked(store, "inc-1"), "it waits")
    durable.wake("inc-1", "decision")
    assert heard(told, 2) == ["asked", True]
    assert ended(durable, "inc-1") is RunState.DONE
    assert told.empty()


def test_a_parked_run_costs_a_restart_nothing_and_goes_on_when_it_is_woken(
    launch: Launch, store: Store, told: Told
) -> None:
    first = launch(asks(told))
    for number in range(5):
        first.start(f"inc-{number}")
    eventually(lambda: all(parked(store, f"inc-{number}") for number in range(5)), "they wait")
    first.close()
    heard(told, 5)
    second = launch(asks(told))
    assert [second.state(f"inc-{number}") for number in range(5)] == [RunState.ALIVE] * 5
    assert told.empty()
    second.wake("inc-3", "decision")
    assert heard(told, 1) == [True]
    assert parked(store, "inc-2")


def test_a_wake_up_before_the_restart_is_not_lost_with_it(launch: Launch, store: Store, told: Told) -> None:
    first = launch(asks(told))
    first.start("inc-1")
    eventually(lambda: parked(store, "inc-1"), "it waits")
    first.close()
    first.wake("inc-1", "decision")
    launch(asks(told))
    assert heard(told, 2) == ["asked", True]


def test_wake_ups_and_waits_that_race_lose_none(launch: Launch, store: Store, told: Told) -> None:
    """Each is woken while it is just about to park, again and again."""
    rounds = 8

    def handle(run: Run, incident_id: str) -> None:
        for number in range(rounds):
            run.step(f"{number}", lambda: told.put(incident_id), returns=None)
            assert run.wait("decision", 600)

    durable = launch(handle)
    runs = [f"inc-{number}" for number in range(6)]
    for incident_id in runs:
        durable.start(incident_id)
    for _ in range(rounds * len(runs)):
        durable.wake(told.get(timeout=DEADLINE_S), "decision")
    for incident_id in runs:
        assert ended(durable, incident_id) is RunState.DONE


def test_a_sleep_ends_when_it_would_have_ended_without_the_restart(launch: Launch, told: Told) -> None:
    def handle(run: Run, incident_id: str) -> None:
        run.step("one", lambda: told.put("before"), returns=None)
        run.sleep(0.3)
        run.step("two", lambda: told.put("after"), returns=None)

    first = launch(handle)
    first.start("inc-1")
    assert heard(told, 1) == ["before"]
    first.close()
    assert ended(launch(handle), "inc-1") is RunState.DONE
    assert heard(told, 1) == ["after"]
    assert told.empty()


def test_a_sleep_does_not_hold_up_the_end_of_the_process(launch: Launch, store: Store, told: Told) -> None:
    over = threading.Event()

    def handle(run: Run, incident_id: str) -> None:
        told.put("asleep")
        try:
            run.sleep(600)
        finally:
            over.set()

    durable = launch(handle, lambda *crash: told.put(crash))
    durable.start("inc-1")
    assert heard(told, 1) == ["asleep"]
    durable.close()
    assert over.wait(DEADLINE_S)
    assert told.empty()


def test_whose_turn_was_taken_by_a_wait_stands_in_line_and_says_so(
    launch: Launch, store: Store, told: Told
) -> None:
    """The places are full: what was approved meanwhile goes on when one is free."""

    def handle(run: Run, incident_id: str) -> None:
        run.wait("decision", 600)
        told.put(run.turn("decision", waiting=lambda: told.put("waits for its turn")))

    durable = launch(handle)
    durable.start("inc-1")
    eventually(lambda: parked(store, "inc-1"), "it waits")
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET active = true")
    durable.wake("inc-1", "decision")
    assert heard(told, 1) == [True]
