"""Durable execution: the only module that knows DBOS.

What a step returned once is remembered; after a crash the run goes on behind it. What DBOS does not
do is done here: one process per executor id, a constant application version, JSON instead of pickle.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID, StepOptions

from agent.adapters import codec
from agent.adapters.executor_lock import ExecutorLock
from agent.domain.errors import StoreError
from agent.ports import Run

T = TypeVar("T")

log = structlog.get_logger()

#: Constant: by default DBOS hashes the source, and an upgrade would orphan running incidents.
_APPLICATION_VERSION = "1"

#: After this many restarts in the middle of one incident a human is called instead (the watchdog sees it).
_MAX_RECOVERIES = 20

#: How soon a run that waits notices that it was woken.
_NOTICE_S = 0.2


class RunState(StrEnum):
    """What became of a run."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    DONE = "done"
    DEAD = "dead"


class Durable:
    """Starts runs that survive crashes; at most one process per executor id."""

    def __init__(
        self,
        *,
        database_url: str,
        executor_id: str,
        handle: Callable[[Run, str], None],
        on_crash: Callable[[str, Exception], None],
    ) -> None:
        self._url = system_database_url(database_url)
        self._executor_id = executor_id
        self._lock: ExecutorLock | None = None
        self._closing = threading.Event()
        self._workflow = _register(handle, on_crash, self._closing)

    def lock(self) -> None:
        """Take the executor's lock, before anything is touched that another process may be using."""
        self._lock = ExecutorLock(self._url, self._executor_id)

    def launch(self) -> None:
        """Go on with every run that a crash interrupted."""
        if self._lock is None:
            self.lock()
        if self._url.startswith("sqlite"):
            _use_wal(self._url)
        config: DBOSConfig = {
            "name": "oncall-agent",
            "system_database_url": self._url,
            "application_version": _APPLICATION_VERSION,
            "executor_id": self._executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": _NOTICE_S,
            "log_level": "ERROR",
        }
        DBOS(config=config)
        DBOS.launch()

    def start(self, incident_id: str) -> None:
        """Run the incident now; starting it twice is one run."""
        with SetWorkflowID(incident_id):
            DBOS.start_workflow(self._workflow, incident_id)

    def wake(self, incident_id: str, topic: str) -> None:
        """Tell a run that waits on the topic to look again."""
        DBOS.send(incident_id, "look again", topic)

    def state(self, incident_id: str) -> RunState:
        """Whether anybody still works on it."""
        status = DBOS.get_workflow_status(incident_id)
        if status is None:
            return RunState.UNKNOWN
        if status.status in ("PENDING", "ENQUEUED", "DELAYED"):
            return RunState.ALIVE
        return RunState.DONE if status.status == "SUCCESS" else RunState.DEAD

    def close(self) -> None:
        """Stop; interrupted runs go on at the next launch."""
        self._closing.set()
        DBOS.destroy(destroy_registry=True)
        if self._lock is not None:
            self._lock.release()


class _ClosingError(BaseException):
    """The process ends: the run stops here and goes on at the next launch; nobody is to catch this."""


class _DurableRun:
    """ports.Run on DBOS; only valid inside a workflow."""

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        self._go_on()
        data = DBOS.run_step(_options(name), lambda: codec.to_data(do(), returns))
        result: T = codec.from_data(data, returns)
        return result

    def sleep(self, seconds: float) -> None:
        self._go_on()
        DBOS.sleep(seconds)

    def wait(self, topic: str, timeout_s: float) -> bool:
        self._go_on()
        woken = DBOS.recv(topic, timeout_seconds=timeout_s) is not None
        self._go_on()
        return woken

    def _go_on(self) -> None:
        if self._closing.is_set():
            raise _ClosingError


def _options(name: str) -> StepOptions:
    """A database that is busy for a moment is no reason to page: every step may safely be done again."""
    return {
        "name": name,
        "retries_allowed": True,
        "max_attempts": 5,
        "interval_seconds": 0.5,
        "backoff_rate": 2.0,
        "should_retry": lambda error: isinstance(error, StoreError),
    }


def _register(
    handle: Callable[[Run, str], None],
    on_crash: Callable[[str, Exception], None],
    closing: threading.Event,
) -> Callable[[str], None]:
    @DBOS.workflow(name="handle_incident", max_recovery_attempts=_MAX_RECOVERIES)
    def handle_incident(incident_id: str) -> None:
        try:
            handle(_DurableRun(closing), incident_id)
        except Exception as error:  # the boundary of a run: whatever broke, a human is paged
            if closing.is_set():  # it broke because DBOS is shutting down under it
                raise _ClosingError from error
            log.exception("run_crashed", incident_id=incident_id)
            on_crash(incident_id, error)

    return handle_incident


def system_database_url(database_url: str) -> str:
    """Where the runs are remembered: beside our SQLite file, or in a schema of our PostgreSQL database."""
    url = sa.make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return database_url
    path = Path(url.database or "oncall.db")
    return f"sqlite:///{path.with_name(path.stem + '.runs' + path.suffix)}"


def _sqlite_path(url: str) -> Path:
    return Path(sa.make_url(url).database or "")


def _use_wal(url: str) -> None:
    path = _sqlite_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
