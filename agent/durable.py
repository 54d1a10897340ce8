"""Durable execution: the only module that knows DBOS.

A run goes in legs. DBOS starts threads that carry them out, one after the other; what the run's steps
returned, what it waits for and whose it is stand in our own tables (agent.adapters.stored_run), so that each
leg that a crash interrupted goes on. What DBOS does not do is done here: one process per executor id, a
constant application version, JSON, not pickle.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from agent.adapters.carriers import Carriers
from agent.adapters.executor_lock import ExecutorLock
from agent.adapters.floor import AT_ONCE, AT_ONCE_AFAR, Floor
from agent.adapters.store_starts import StoredStarts
from agent.adapters.stored_run import StoredRun
from agent.domain.errors import AgentError, StoreAwayError, StoreError
from agent.domain.runs import Closing, Leg, LegOver, Memory, Places, RunState, Whereabouts
from agent.ports import Run

log = structlog.get_logger()

#: Constant: by default DBOS hashes the source, and an upgrade would orphan running incidents.
_APPLICATION_VERSION = "1"

#: After this many restarts in the middle of one leg a human is called instead (the watchdog sees it).
_MAX_RECOVERIES = 20

#: Finished legs are kept for whoever asks what became of them, and deleted in batches of so many.
_KEPT = timedelta(minutes=10)
_BATCH = 200

#: How long a store that is away is waited for between two steps, and how often it is tried; within a step the
#: run does so itself, for as long.
_PATIENT_S = 600.0
_AGAIN_AFTER_S = 0.5

_listed = partial(DBOS.list_workflows, load_input=False, load_output=False)

#: No thread is at work for so long,
_ABANDONED = timedelta(days=2)

#: for after so many legs another one takes its place.
_LEGS_EACH = 200

_OVER = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class Durable:
    """Carries runs out, leg by leg, through crashes; at most one process per executor id."""

    def __init__(
        self,
        *,
        database_url: str,
        executor_id: str,
        store: StoredStarts,
        places: Places,
        handle: Callable[[Run, str], None],
        on_crash: Callable[[str, Exception], None],
        on_leg_over: Callable[[], None] = lambda: None,
        give_way: Callable[[], object] = lambda: None,
    ) -> None:
        self._url = system_database_url(database_url)
        self._executor_id = executor_id
        self._store = store
        self._places = places
        self._handle = handle
        self._on_crash = on_crash
        self._on_leg_over = on_leg_over
        self._give_way = give_way
        self._floor = Floor(at_once=AT_ONCE if self._url.startswith("sqlite") else AT_ONCE_AFAR)
        self._lock: ExecutorLock | None = None
        self._engine: sa.Engine | None = None
        self._closing = threading.Event()
        self._new: set[str] = set()
        self._carriers = Carriers()
        self._workflow = _register(self._carry)

    @property
    def executor_id(self) -> str:
        """Whose legs it carries out."""
        return self._executor_id

    def lock(self) -> ExecutorLock:
        """Take the executor's lock, before anything is touched that another process may be using."""
        self._lock = ExecutorLock(self._url, self._executor_id)
        return self._lock

    def launch(self) -> None:
        """Go on with every leg that a crash interrupted.

        Each is taken over from our predecessor, as a new leg, before DBOS looks: what it finds interrupted it
        puts into a queue that any replica may serve, and whoever gets such a leg there finds it over.
        """
        if self._lock is None:
            self.lock()
        interrupted = self._store.legs_under_way(self._executor_id, "")
        taken = self._store.take_over(interrupted, self._executor_id)
        self._give_up_worn_out(interrupted, self._executor_id)
        config: DBOSConfig = {
            "name": "oncall-agent",
            "system_database_url": self._url,
            "application_version": _APPLICATION_VERSION,
            "executor_id": self._executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
        }
        self._engine = _engine(self._url)
        config["system_database_engine"] = self._engine
        DBOS(config=config)
        DBOS.launch()
        for leg in taken:
            log.info("leg_interrupted", leg=leg.id)
            self._begin(leg)

    def start(self, incident_id: str) -> None:
        """Run the incident now, or again if nobody does; starting what runs, or waits, changes nothing."""
        leg = self._store.begin_run(incident_id, self._executor_id)
        if leg is not None:
            self.carry_on(leg)
            return
        at = self._store.whereabouts(incident_id)
        if at is not None and self._state_at(at) is RunState.UNKNOWN:
            self._take([at.leg])

    def carry_on(self, leg: Leg) -> None:
        """Carry out a leg that the store has given us; twice is once."""
        if leg.number == 1:
            self._new.add(leg.id)  # it has nothing to remember
        self._begin(leg)

    def _begin(self, leg: Leg) -> None:
        if self._closing.is_set():
            return  # it is ours, and taken up at the next launch
        if not self._carriers.enrol(leg) or self._carriers.hand_over(leg):
            return
        try:
            with _asked_of_dbos(), SetWorkflowID(leg.id):
                DBOS.start_workflow(self._workflow, leg.incident_id, leg.number)
        except StoreError:
            self._carriers.strike(leg, RunState.UNKNOWN)
            raise

    def wake(self, incident_id: str, topic: str) -> None:
        """Tell a run that waits on the topic, now or later, to look again."""
        self._store.wake(incident_id, topic)

    def take_over(self, executor_id: str) -> int:
        """Carry on here what an executor that is gone was at; how many. Any replica may ask, and again."""
        legs = self._store.legs_under_way(executor_id)
        taken = self._take(legs)
        self._give_up_worn_out(legs, executor_id)
        return taken

    def _give_up_worn_out(self, legs: Sequence[Leg], executor_id: str) -> None:
        """What could not be taken over has lost too many processes: it may be what ends them."""
        for worn_out in set(legs) & set(self._store.legs_under_way(executor_id)):
            self._on_crash(worn_out.incident_id, AgentError("each process that worked on it was lost"))

    def _take(self, legs: Sequence[Leg]) -> int:
        taken = self._store.take_over(legs, self._executor_id)
        for leg in taken:
            self._begin(leg)
        return len(taken)

    def state(self, incident_id: str) -> RunState:
        """Whether anybody still works on it, or it waits."""
        at = self._store.whereabouts(incident_id)
        if at is None:
            return RunState.UNKNOWN
        state = self._state_at(at)
        if state is RunState.DONE and self._store.whereabouts(incident_id) != at:
            return self.state(incident_id)  # it went on, or came to rest, between our two looks
        return state

    def _state_at(self, at: Whereabouts) -> RunState:
        if at.is_parked:
            return RunState.ALIVE
        return self._known([at.leg]).get(at.leg.id, RunState.UNKNOWN)

    def states(self) -> Mapping[str, RunState]:
        """The same of every run that is under way and does not wait, by incident: three queries in all."""
        legs = self._store.legs_under_way()
        known = self._known(legs)
        still = set(self._store.legs_under_way())  # what ended, or came to rest, meanwhile is left out
        return {leg.incident_id: known.get(leg.id, RunState.UNKNOWN) for leg in legs if leg in still}

    def _known(self, legs: Sequence[Leg]) -> Mapping[str, RunState]:
        """What is known of them, by leg: from who is at work here, and of the others from DBOS."""
        known = {leg.id: self._carriers.state(leg) for leg in legs}
        others = [leg_id for leg_id, state in known.items() if state is not RunState.ALIVE]
        if not others:
            return known
        ours = {leg.id for leg in self._store.legs_under_way(self._executor_id)}
        for leg_id, state in self._said_of(others).items():
            if state not in (RunState.ALIVE, RunState.UNKNOWN):
                known[leg_id] = state
            elif leg_id not in ours:  # its process looks after it; when that is gone, the reaper does
                known[leg_id] = RunState.ALIVE
        return known

    def _said_of(self, leg_ids: Sequence[str]) -> Mapping[str, RunState]:
        """By DBOS, which knows of a thread only the first leg."""
        with _asked_of_dbos():
            found = _listed(workflow_ids=list(leg_ids))
        said = {each.workflow_id: _state(each.status, each.app_version) for each in found}
        return {leg_id: said.get(leg_id, RunState.UNKNOWN) for leg_id in leg_ids}

    def sweep(self) -> int:
        """Forget what is over: steps of ended incidents, and a batch of old legs; how many legs."""
        self._store.sweep_runs()
        now = datetime.now(UTC)
        finished, abandoned = ((now - each).isoformat() for each in (_KEPT, _ABANDONED))
        current = {leg.id for leg in self._store.legs_under_way()}
        with _asked_of_dbos():
            old = [
                *_listed(status=_OVER, completed_before=finished, limit=_BATCH),
                # of executors that are gone, whose runs others took over
                *_listed(status=["PENDING", "ENQUEUED"], end_time=abandoned, limit=_BATCH),
            ]
            gone = [each.workflow_id for each in old if each.workflow_id not in current]
            if gone:
                DBOS.delete_workflows(gone)
        return len(gone)

    def close(self) -> None:
        """Stop; interrupted legs go on at the next launch."""
        self._closing.set()
        DBOS.destroy(destroy_registry=True)
        if self._engine is not None:
            # one that is still in use is closed when its thread gives it back
            sa.event.listen(self._engine, "checkin", lambda _, record: record.invalidate())
            self._engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def _carry(self, leg: Leg) -> None:
        """In a thread of DBOS: the leg that it was begun for, and what comes within a moment after it."""
        following: Leg | None = leg
        left = _LEGS_EACH
        while following is not None:
            self._carry_out(following)
            left -= 1
            following = self._carriers.next() if left else None
            if self._closing.is_set():
                raise Closing

    def _carry_out(self, leg: Leg) -> None:
        """One leg; what is known of it afterwards is kept for whoever asks."""
        how = RunState.DEAD
        try:
            self._to_its_end(leg)
            how = RunState.DONE
        finally:
            self._carriers.strike(leg, how)
            self._on_leg_over()

    def _to_its_end(self, leg: Leg) -> None:
        """What ends a leg is told apart here."""
        try:
            self._patiently(leg)
        except Closing:  # it goes on at the next launch, so DBOS must not see its end
            raise
        except LegOver as over:
            log.debug("leg_over", leg=leg.id, why=type(over).__name__)
        except Exception as error:  # the boundary of a run: whatever broke, a human is paged
            if self._closing.is_set():  # it broke because everything is shutting down under it
                raise Closing from error
            log.exception("run_crashed", incident_id=leg.incident_id)
            self._on_crash(leg.incident_id, error)

    def _patiently(self, leg: Leg) -> None:
        """As after a crash, again from what is remembered, when the store was away between two steps."""
        patient_until = time.monotonic() + _PATIENT_S
        while True:
            try:
                run = self._run(leg)
                if run is not None:
                    with run.riding(), self._floor.held():
                        self._handle(run, leg.incident_id)
            except StoreAwayError as error:
                if time.monotonic() >= patient_until:
                    raise
                log.warning("leg_carried_out_again", leg=leg.id, error=str(error))
            else:
                return
            if self._closing.wait(_AGAIN_AFTER_S):
                raise Closing

    def _run(self, leg: Leg) -> StoredRun | None:
        """None: the leg was over when it was begun again."""
        memory: Memory | None = Memory()
        if leg.id in self._new:
            self._new.discard(leg.id)
        else:
            memory = self._store.memory_of(leg, self._executor_id)
        if memory is None:
            return None
        return StoredRun(
            self._store,
            leg,
            memory,
            executor_id=self._executor_id,
            places=self._places,
            closing=self._closing,
            give_way=self._give_way,
        )


def _register(carry_out: Callable[[Leg], None]) -> Callable[[str, int], None]:
    @DBOS.workflow(name="handle_incident", max_recovery_attempts=_MAX_RECOVERIES)
    def handle_incident(incident_id: str, leg: int = 1) -> None:
        carry_out(Leg(incident_id, leg))

    return handle_incident


def _state(status: str, version: str | None) -> RunState:
    if status in ("PENDING", "ENQUEUED", "DELAYED"):
        return RunState.ALIVE if version in (None, _APPLICATION_VERSION) else RunState.OTHER_VERSION
    if status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return RunState.WORN_OUT
    return RunState.DONE if status == "SUCCESS" else RunState.DEAD


@contextmanager
def _asked_of_dbos() -> Iterator[None]:
    """Its database is ours too: what is wrong with it is told as of ours."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(f"the runs cannot be used: {error}") from error


def system_database_url(database_url: str) -> str:
    """Where the legs are remembered: beside our SQLite file, or in a schema of our PostgreSQL database."""
    url = sa.make_url(database_url)
    if url.get_backend_name() != "sqlite":
        return database_url
    path = Path(url.database or "oncall.db")
    return f"sqlite:///{path.with_name(path.stem + '.runs' + path.suffix)}"


def _engine(url: str) -> sa.Engine:
    if url.startswith("sqlite"):
        return _sqlite_engine(url)
    from agent.adapters import postgres  # its driver is an extra that SQLite does without

    return postgres.engine(url, for_runs=True)


def _sqlite_engine(url: str) -> sa.Engine:
    """One connection for all threads, who wait in line for it instead of asking the file again and again.

    Not synced at every commit: what a power cut takes from this file, our own tables still know.
    """
    Path(sa.make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=60)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
