"""Incidents under way when the agent is upgraded from a version that remembered steps by their position."""

from __future__ import annotations

import queue
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

import agent.adapters
from agent.adapters.clock import SystemClock
from agent.adapters.database import stamp
from agent.adapters.store import Store
from agent.domain.runs import Leg, RunState, Whereabouts
from agent.ports import Run
from tests.integration.durable.conftest import Launch, ended, eventually
from tests.integration.durable.test_durable_runs import python
from tests.integration.durable.test_parking import heard, parked

Told = queue.Queue[Any]

#: What the version before did to run an incident: a workflow by the incident's id, its steps by position.
EARLIER = """
import os, sys, threading
from dbos import DBOS, DBOSPortableJSONSerializer, SetWorkflowID

waiting = threading.Event()

@DBOS.workflow(name="handle_incident", max_recovery_attempts=20)
def handle_incident(incident_id):
    DBOS.run_step({"name": "receive"}, lambda: None)
    DBOS.run_step({"name": "learn"}, lambda: {"title": "Redis"})
    waiting.set()
    if sys.argv[2] == "approval":
        DBOS.recv("decision", timeout_seconds=900)
    else:
        threading.Event().wait()

DBOS(config={
    "name": "oncall-agent", "system_database_url": sys.argv[1], "application_version": "1",
    "executor_id": "main", "serializer": DBOSPortableJSONSerializer(), "log_level": "ERROR",
})
DBOS.launch()
with SetWorkflowID("inc-1"):
    DBOS.start_workflow(handle_incident, "inc-1")
waiting.wait()
os._exit(9)
"""


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/oncall.db"


@pytest.fixture
def store(database_url: str) -> Any:
    store = Store(database_url, SystemClock())
    yield store
    store.close()


def earlier(store: Store, database_url: str, *, status: str, does: str) -> None:
    """Our tables and the engine's, as the version before left them when it was killed."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(agent.adapters.__path__[0]) / "migrations"))
    with store.database.writing() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0003")
        now = stamp(datetime.now(UTC))
        row = {
            "id": "inc-1", "source": "pagerduty", "source_id": "P1", "title": "Redis", "service": "shop",
            "alert": '{"source":"pagerduty","source_id":"P1","title":"Redis"}', "status": status,
            "received_at": now, "started_at": now, "identity": "",
        }  # fmt: skip
        columns = [sa.column(name) for name in row]
        connection.execute(sa.table("incidents", *columns).insert().values(**row))
    killed = python(EARLIER, database_url.replace("oncall.db", "oncall.runs.db"), does)
    assert killed.returncode == 9, killed.stderr
    store.migrate()


def asks(told: Told) -> Any:
    def handle(run: Run, incident_id: str) -> None:
        run.step("receive", lambda: told.put("receive"), returns=None)
        told.put(run.wait("decision", 600))

    return handle


def test_one_that_waited_for_approval_parks_and_goes_on_when_it_is_decided(
    launch: Launch, store: Store, told: Told, database_url: str
) -> None:
    earlier(store, database_url, status="awaiting_approval", does="approval")
    assert store.whereabouts("inc-1") == Whereabouts(Leg("inc-1"), is_parked=False)
    durable = launch(asks(told))
    assert heard(told, 1) == ["receive"]
    eventually(lambda: parked(store, "inc-1", leg=2), "it waits as runs do now")
    assert durable.state("inc-1") is RunState.ALIVE
    durable.wake("inc-1", "decision")
    assert heard(told, 1) == [True]
    assert ended(durable, "inc-1") is RunState.DONE


def test_one_in_the_middle_of_a_step_does_its_steps_again(
    launch: Launch, store: Store, told: Told, database_url: str
) -> None:
    """Each is safe to do twice: what it told is told, what it ran stands in the journal."""
    earlier(store, database_url, status="running", does="a step")
    durable = launch(lambda run, _: run.step("receive", lambda: told.put("receive"), returns=None))
    assert heard(told, 1) == ["receive"]
    assert ended(durable, "inc-1") is RunState.DONE


def test_one_that_the_engine_has_lost_is_begun_again(
    launch: Launch, store: Store, told: Told, database_url: str, tmp_path: Path
) -> None:
    earlier(store, database_url, status="running", does="a step")
    runs = sqlite3.connect(tmp_path / "oncall.runs.db")
    runs.execute("DELETE FROM workflow_status")
    runs.commit()
    runs.close()
    durable = launch(lambda run, _: run.step("receive", lambda: told.put("receive"), returns=None))
    assert heard(told, 1) == ["receive"]
    assert ended(durable, "inc-1") is RunState.DONE
