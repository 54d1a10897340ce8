"""Legs whose process, or whose memory of them, is gone: each is carried on, by one."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agent.adapters.store import Store
from agent.domain.runs import Leg, Places, RunState, Whereabouts
from agent.durable import system_database_url
from agent.ports import Run
from tests.integration.durable.conftest import DEADLINE_S, PLACES, Launch, ended, eventually
from tests.integration.durable.test_durable_runs import INTERRUPTED, python
from tests.integration.durable.test_parking import asks, heard, parked, threads_at_work

Told = queue.Queue[Any]


def engine_is_told(database_url: str, statement: str) -> list[Any]:
    """Change, or read, what the engine remembers behind its back."""
    url = sa.make_url(system_database_url(database_url))
    schema = "" if url.get_backend_name() == "sqlite" else "dbos."
    driver = url if not schema else url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(driver, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement.replace("LEGS", f"{schema}workflow_status"))
            return result.scalars().all() if result.returns_rows else []
    finally:
        engine.dispose()


def forget_legs(database_url: str) -> None:
    """As a power cut in the worst moment: what is not synced at every commit is gone."""
    url = system_database_url(database_url)
    if not url.startswith("sqlite"):
        engine_is_told(database_url, "DELETE FROM LEGS")
        return
    runs = Path(url.removeprefix("sqlite:///"))
    for path in runs.parent.glob(f"{runs.name}*"):
        path.unlink()


def goes_on(told: Told) -> Any:
    def handle(run: Run, incident_id: str) -> None:
        one = run.step("one", lambda: told.put("one again") or "", returns=str)
        run.step("two", lambda: told.put(f"two after {one}"), returns=None)

    return handle


def test_a_leg_that_the_engine_forgot_in_a_power_cut_is_carried_on(
    launch: Launch, told: Told, database_url: str, tmp_path: Path
) -> None:
    python(INTERRUPTED, database_url, str(tmp_path / "done"), "wrote")
    forget_legs(database_url)
    durable = launch(goes_on(told))
    assert heard(told, 1) == ["two after one"]
    assert ended(durable, "inc-1") is RunState.DONE
    assert told.empty()


def test_runs_that_wait_are_still_there_when_the_engine_forgot_everything(
    launch: Launch, store: Store, told: Told, database_url: str
) -> None:
    first = launch(asks(told))
    first.start("inc-1")
    eventually(lambda: parked(store, "inc-1"), "it waits")
    first.close()
    forget_legs(database_url)
    second = launch(asks(told))
    assert second.state("inc-1") is RunState.ALIVE
    second.wake("inc-1", "decision")
    assert heard(told, 2) == ["asked", True]


def test_a_leg_that_was_claimed_and_never_begun_is_begun_at_the_next_launch(
    launch: Launch, store: Store, told: Told
) -> None:
    """Killed between the claim, in our own tables, and the engine."""
    assert store.begin_run("inc-1", "main") == Leg("inc-1")
    launch(goes_on(told))
    assert heard(told, 2) == ["one again", "two after "]


def test_a_leg_that_nobody_carries_out_is_taken_up_when_asked_to_start(
    launch: Launch, store: Store, told: Told
) -> None:
    durable = launch(goes_on(told))
    store.begin_run("inc-1", "main")
    assert durable.state("inc-1") is RunState.UNKNOWN
    durable.start("inc-1")
    assert heard(told, 2) == ["one again", "two after "]
    assert ended(durable, "inc-1") is RunState.DONE


def test_a_leg_that_parked_and_whose_end_was_lost_does_nothing_more(
    launch: Launch, store: Store, told: Told, database_url: str
) -> None:
    """The engine believes that it was in the middle of it, and begins it again."""
    first = launch(asks(told))
    first.start("inc-1")
    eventually(lambda: parked(store, "inc-1"), "it waits")
    first.close()
    heard(told, 1)
    engine_is_told(database_url, "UPDATE LEGS SET status = 'PENDING', completed_at = NULL")
    second = launch(asks(told))
    statuses = "SELECT status FROM LEGS"
    eventually(lambda: engine_is_told(database_url, statuses) == ["SUCCESS"], "it knows that it is over")
    assert told.empty()
    second.wake("inc-1", "decision")
    assert heard(told, 1) == [True]


def test_what_another_executor_was_at_is_carried_on_here_and_it_writes_nothing_more(
    launch: Launch, store: Store, told: Told
) -> None:
    """It only seemed to be gone: both are at the run for a moment, and one of them stops."""
    is_taken, may_go_on = threading.Event(), threading.Event()

    def handle(run: Run, incident_id: str) -> None:
        run.step("one", lambda: None, returns=None)
        if not is_taken.is_set():
            told.put("begun")
            may_go_on.wait(DEADLINE_S)
        run.step("two", lambda: store.learn_own_user_id("PAGENT0") or told.put("written"), returns=None)
        told.put("ended")

    durable = launch(handle)
    durable.start("inc-1")
    assert heard(told, 1) == ["begun"]
    is_taken.set()
    assert durable.take_over("main") == 1  # itself, as another replica would
    assert heard(told, 2) == ["written", "ended"]
    may_go_on.set()
    assert ended(durable, "inc-1") is RunState.DONE
    eventually(lambda: threads_at_work() == 0, "both are over")
    assert told.empty()


def test_taking_over_from_nobody_takes_nothing(launch: Launch) -> None:
    assert launch(lambda *_: None).take_over("worker-7") == 0


def test_a_run_that_every_process_is_lost_over_is_told_to_a_human(launch: Launch, store: Store) -> None:
    crashes: queue.Queue[tuple[str, str]] = queue.Queue()
    durable = launch(lambda *_: None, lambda incident_id, error: crashes.put((incident_id, str(error))))
    leg = store.begin_run("inc-1", "worker-7")
    assert leg is not None
    for _ in range(20):
        (leg,) = store.take_over([leg], "worker-7")
    assert durable.take_over("worker-7") == 0
    assert crashes.get(timeout=DEADLINE_S) == ("inc-1", "each process that worked on it was lost")


def test_two_that_begin_the_same_leg_carry_it_out_once(launch: Launch, store: Store, told: Told) -> None:
    durable = launch(goes_on(told))
    leg = store.begin_run("inc-1", "main")
    assert leg is not None
    durable.carry_on(leg)
    durable.carry_on(leg)
    assert heard(told, 2) == ["one again", "two after "]
    assert ended(durable, "inc-1") is RunState.DONE
    assert told.empty()


def test_finished_legs_are_swept_away_after_a_while_and_no_others(
    launch: Launch, store: Store, told: Told, database_url: str
) -> None:
    durable = launch(asks(told))
    durable.start("inc-1")
    durable.start("inc-2")
    eventually(lambda: parked(store, "inc-1") and parked(store, "inc-2"), "they wait")
    durable.wake("inc-1", "decision")
    assert heard(told, 3) == ["asked", "asked", True]
    eventually(lambda: durable.state("inc-1") is RunState.DONE, "the first has ended")
    assert durable.sweep() == 0
    statuses = "SELECT DISTINCT status FROM LEGS"
    eventually(lambda: engine_is_told(database_url, statuses) == ["SUCCESS"], "their threads have gone")
    engine_is_told(database_url, "UPDATE LEGS SET completed_at = 1000")
    assert durable.sweep() >= 1  # what threads were begun for; each may have carried out more
    assert not engine_is_told(database_url, "SELECT workflow_uuid FROM LEGS WHERE workflow_uuid = 'inc-1'")
    assert durable.state("inc-1") is RunState.DONE
    assert durable.state("inc-2") is RunState.ALIVE


@pytest.mark.parametrize("places", [Places(1), PLACES])
def test_what_recovery_carries_on_needs_no_new_turn(
    launch: Launch, store: Store, told: Told, places: Places
) -> None:
    store.begin_run("inc-1", "main")
    assert store.claim(places, "main") == []
    launch(goes_on(told))
    assert heard(told, 2) == ["one again", "two after "]
    assert store.whereabouts("inc-1") == Whereabouts(Leg("inc-1", 2), is_parked=False)
