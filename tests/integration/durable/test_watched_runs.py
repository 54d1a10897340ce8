"""What the watchdog hears of runs from the real engine."""

from __future__ import annotations

import threading

from agent.domain.runs import RunState
from agent.durable import Durable
from agent.ports import Run
from tests.integration.durable.conftest import Launch, eventually
from tests.integration.durable.test_lost_legs import engine_is_told


def statuses(database_url: str) -> list[str]:
    return engine_is_told(database_url, "SELECT status FROM LEGS")


def begun(launch: Launch, database_url: str) -> tuple[Durable, str]:
    """A run whose function has returned, although nobody ended its incident."""
    durable = launch(lambda run, incident_id: None)
    durable.start("inc-1")
    eventually(lambda: durable.states() == {"inc-1": RunState.DONE}, "its function has returned")
    eventually(lambda: statuses(database_url) == ["SUCCESS"], "its thread has gone")
    return durable, "inc-1"


def test_a_run_at_work_is_alive_and_one_that_waits_is_not_among_them(launch: Launch) -> None:
    go_on = threading.Event()
    here = threading.Event()

    def work(run: Run, incident_id: str) -> None:
        here.set()
        go_on.wait(10)
        run.wait("decision", 3_600)

    durable = launch(work)
    durable.start("inc-1")
    assert here.wait(10)
    assert durable.states() == {"inc-1": RunState.ALIVE}
    go_on.set()
    eventually(lambda: durable.states() == {}, "it is parked")
    assert durable.state("inc-1") is RunState.ALIVE


def test_a_run_that_returned_without_an_end_is_done_and_nobody_is_at_work(
    launch: Launch, database_url: str
) -> None:
    durable, incident_id = begun(launch, database_url)
    assert durable.state(incident_id) is RunState.DONE


def test_a_run_over_the_recovery_limit_is_worn_out(launch: Launch, database_url: str) -> None:
    durable, incident_id = begun(launch, database_url)
    engine_is_told(database_url, "UPDATE LEGS SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'")
    assert durable.states() == {incident_id: RunState.WORN_OUT}


def test_a_run_of_another_version_that_has_not_ended_is_told_apart(launch: Launch, database_url: str) -> None:
    durable, incident_id = begun(launch, database_url)
    engine_is_told(database_url, "UPDATE LEGS SET status = 'PENDING', application_version = '2'")
    assert durable.states() == {incident_id: RunState.OTHER_VERSION}


def test_a_run_of_another_version_that_has_ended_is_just_over(launch: Launch, database_url: str) -> None:
    durable, incident_id = begun(launch, database_url)
    engine_is_told(database_url, "UPDATE LEGS SET application_version = '0'")
    assert durable.states() == {incident_id: RunState.DONE}
