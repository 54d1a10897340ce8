from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.store import Store
from agent.domain.errors import StoreAwayError
from agent.domain.runs import RunState
from agent.durable import Durable, system_database_url
from agent.ports import Run
from tests.integration.durable.conftest import DEADLINE_S, PLACES, Launch, ended, eventually

Told = queue.Queue[Any]

#: A process of its own, killed in the middle of its second step as a machine without power would.
INTERRUPTED = """
import os, sys, threading
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.runs import Places
from agent.durable import Durable

done = open(sys.argv[2], "a")

def note(word):
    print(word, file=done, flush=True)
    return word

def die():
    if sys.argv[3] == "wrote":
        store.learn_own_user_id("PAGENT0")
    note("two begun")
    os._exit(9)

def handle(run, incident_id):
    run.step("one", lambda: note("one"), returns=str)
    run.step("two", die, returns=str)

store = Store(sys.argv[1], SystemClock())
durable = Durable(
    database_url=sys.argv[1], executor_id="main", store=store, places=Places(32),
    handle=handle, on_crash=print,
)
durable.launch()
durable.start("inc-1")
threading.Event().wait(30)
"""

BUSY = """
import sys
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.errors import ExecutorBusyError
from agent.domain.runs import Places
from agent.durable import Durable

url, executor_id = sys.argv[1:]
durable = Durable(
    database_url=url, executor_id=executor_id, store=Store(url, SystemClock()), places=Places(32),
    handle=print, on_crash=print,
)
try:
    durable.launch()
except ExecutorBusyError as error:
    print(error)
else:
    print("launched")
    durable.close()
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def heard(told: Told, count: int) -> list[Any]:
    return [told.get(timeout=DEADLINE_S) for _ in range(count)]


def test_a_run_does_its_steps_in_order_and_is_done(launch: Launch, told: Told) -> None:
    def handle(run: Run, incident_id: str) -> None:
        for name in ("one", "two", "three"):
            run.step(name, lambda name=name: told.put(f"{incident_id} {name}"), returns=None)

    durable = launch(handle)
    durable.start("inc-1")
    assert heard(told, 3) == ["inc-1 one", "inc-1 two", "inc-1 three"]
    assert ended(durable, "inc-1") is RunState.DONE


def test_starting_twice_is_one_run(launch: Launch, told: Told) -> None:
    may_end = threading.Event()

    def handle(run: Run, incident_id: str) -> None:
        told.put("began")
        may_end.wait(DEADLINE_S)

    durable = launch(handle)
    durable.start("inc-1")
    heard(told, 1)
    durable.start("inc-1")
    may_end.set()
    ended(durable, "inc-1")
    durable.start("inc-1")
    assert ended(durable, "inc-1") is RunState.DONE
    assert told.empty()


def test_a_run_nobody_started_is_unknown(launch: Launch) -> None:
    assert launch(lambda *_: None).state("inc-0") is RunState.UNKNOWN


def test_a_run_that_waits_is_alive_until_it_is_woken(launch: Launch, told: Told) -> None:
    def handle(run: Run, incident_id: str) -> None:
        run.step("asked", lambda: told.put("asked"), returns=None)
        woken = run.wait("decision", DEADLINE_S)
        told.put(woken)

    durable = launch(handle)
    durable.start("inc-1")
    assert heard(told, 1) == ["asked"]
    assert durable.state("inc-1") is RunState.ALIVE
    durable.wake("inc-1", "decision")
    assert heard(told, 1) == [True]
    assert ended(durable, "inc-1") is RunState.DONE


def test_steps_are_remembered_over_a_relaunch(launch: Launch, told: Told) -> None:
    def handle(run: Run, incident_id: str) -> None:
        given = run.step("one", lambda: told.put("one") or "remembered", returns=str)
        run.wait("decision", DEADLINE_S)
        run.step("two", lambda: told.put(given), returns=None)

    first = launch(handle)
    first.start("inc-1")
    assert heard(told, 1) == ["one"]
    first.close()
    second = launch(handle)
    assert second.state("inc-1") is RunState.ALIVE
    second.wake("inc-1", "decision")
    assert heard(told, 1) == ["remembered"]
    assert ended(second, "inc-1") is RunState.DONE
    assert told.empty()


@pytest.mark.parametrize(
    ("written", "again"), [("wrote", ["two after one"]), ("wrote nothing", ["one", "two after one again"])]
)
def test_a_run_that_lost_its_process_knows_every_step_before_the_last_thing_it_wrote(
    launch: Launch, told: Told, database_url: str, tmp_path: Path, written: str, again: list[str]
) -> None:
    """A step that nothing was written after is done again, together with all that follows it."""
    done = tmp_path / "done"
    killed = python(INTERRUPTED, database_url, str(done), written)
    assert (killed.returncode, done.read_text().split("\n")[:2]) == (9, ["one", "two begun"])

    def handle(run: Run, incident_id: str) -> None:
        one = run.step("one", lambda: told.put("one") or "one again", returns=str)
        run.step("two", lambda: told.put(f"two after {one}") or "", returns=str)

    durable = launch(handle)
    assert heard(told, len(again)) == again
    assert ended(durable, "inc-1") is RunState.DONE
    assert told.empty()


@pytest.mark.parametrize("where", ["in a step", "between steps"])
def test_stopping_the_agent_in_the_middle_of_a_run_is_no_crash(
    launch: Launch, told: Told, where: str
) -> None:
    closed, over = threading.Event(), threading.Event()

    def handle(run: Run, incident_id: str) -> None:
        try:
            if where == "in a step":
                run.step("one", lambda: told.put("began") or closed.wait(DEADLINE_S), returns=bool)
            else:
                told.put("began")
                closed.wait(DEADLINE_S)
            run.step("two", lambda: told.put("two"), returns=None)
        finally:
            over.set()

    durable = launch(handle, lambda *crash: told.put(crash))
    durable.start("inc-1")
    assert heard(told, 1) == ["began"]
    durable.close()
    closed.set()
    assert over.wait(DEADLINE_S)
    assert told.empty()

    again = launch(lambda run, incident_id: told.put(f"{incident_id} goes on"))
    assert heard(told, 1) == ["inc-1 goes on"]
    assert ended(again, "inc-1") is RunState.DONE


def test_a_store_that_is_away_between_two_steps_is_waited_for_and_nobody_is_paged(
    launch: Launch, told: Told
) -> None:
    """It goes on as after a crash: what was not yet written down is done again."""
    away = [StoreAwayError("the database is busy: every connection to it is in use")]

    def handle(run: Run, incident_id: str) -> None:
        run.step("one", lambda: told.put("one"), returns=None)
        if away:
            raise away.pop()
        run.step("two", lambda: told.put("two"), returns=None)

    durable = launch(handle)
    durable.start("inc-1")
    assert heard(told, 3) == ["one", "one", "two"]
    assert ended(durable, "inc-1") is RunState.DONE


def test_a_run_that_breaks_is_told_with_its_incident_and_error(launch: Launch, told: Told) -> None:
    def handle(run: Run, incident_id: str) -> None:
        run.step("one", lambda: 1 // 0, returns=int)

    durable = launch(handle, lambda incident_id, error: told.put((incident_id, type(error), str(error))))
    durable.start("inc-1")
    assert heard(told, 1) == [("inc-1", ZeroDivisionError, "integer division or modulo by zero")]
    assert ended(durable, "inc-1") is RunState.DONE


def test_a_run_whose_crash_cannot_even_be_told_is_dead(launch: Launch) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("the store is gone")

    durable = launch(breaks, breaks)
    durable.start("inc-1")
    assert ended(durable, "inc-1") is RunState.DEAD


def test_a_second_process_with_the_same_executor_id_is_refused_with_words(
    launch: Launch, database_url: str
) -> None:
    launch(lambda *_: None)
    refused = python(BUSY, database_url, "main").stdout
    assert "another process already works as executor 'main' on " in refused
    assert "stop it first, or give this one its own executor id" in refused
    assert python(BUSY, database_url, "second").stdout == "launched\n"


def test_the_executor_is_free_again_when_its_process_has_stopped(launch: Launch, database_url: str) -> None:
    launch(lambda *_: None).close()
    assert python(BUSY, database_url, "main").stdout == "launched\n"


def test_closing_what_was_never_launched_is_harmless(database_url: str, store: Store) -> None:
    Durable(
        database_url=database_url,
        executor_id="main",
        store=store,
        places=PLACES,
        handle=print,
        on_crash=print,
    ).close()


def test_many_runs_at_once_each_end_once(launch: Launch, told: Told) -> None:
    durable = launch(lambda run, incident_id: run.step("one", lambda: told.put(incident_id), returns=None))
    for number in range(20):
        durable.start(f"inc-{number}")
    assert sorted(heard(told, 20)) == sorted(f"inc-{number}" for number in range(20))
    eventually(lambda: durable.state("inc-19") is RunState.DONE, "the last has ended")


@pytest.mark.parametrize(
    ("database", "runs"),
    [
        ("sqlite:///data/oncall.db", "sqlite:///data/oncall.runs.db"),
        ("sqlite:////var/lib/oncall", "sqlite:////var/lib/oncall.runs"),
        ("postgresql://db/oncall", "postgresql://db/oncall"),
    ],
)
def test_runs_are_remembered_beside_the_database(database: str, runs: str) -> None:
    assert system_database_url(database) == runs
