"""A PostgreSQL that is down, hangs, restarts or is full is told in time, and never keeps anybody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa

from agent.adapters import postgres
from agent.adapters.clock import SystemClock
from agent.adapters.patience import until
from agent.adapters.prepared import Prepared
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.errors import StoreAwayError, StoreError
from agent.domain.incident import Entry, EventKind
from agent.domain.source_event import Acceptance, EventType, SourceEvent
from tests.postgres import PostgresServer, server


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One that these tests may stop and hold up."""
    with server() as running:
        yield running


@pytest.fixture
def store(own_server: PostgresServer) -> Iterator[Store]:
    with own_server.database() as url:
        store = Store(url, SystemClock())
        store.migrate()
        yield store
        store.close()


def trigger(source_id: str = "P1", **alert: str) -> SourceEvent:
    given = Alert("pagerduty", source_id, **({"title": "Redis"} | alert))  # type: ignore[arg-type]
    name = "incident.triggered"
    return SourceEvent("pagerduty", f"w-{source_id}", EventType.TRIGGERED, name, source_id, alert=given)


def took(started: float) -> float:
    return time.monotonic() - started


def test_a_server_that_is_down_is_told_at_once_and_used_again_when_it_is_back(
    own_server: PostgresServer, store: Store
) -> None:
    assert store.accept(trigger("P1"), "{}").acceptance is Acceptance.NEW_INCIDENT
    own_server.stop(at_once=True)
    started = time.monotonic()
    with pytest.raises(StoreError, match="the database cannot be reached"):
        store.accept(trigger("P2"), "{}")
    assert took(started) < 1.5
    own_server.start()
    assert store.accept(trigger("P2"), "{}").acceptance is Acceptance.NEW_INCIDENT


def test_a_restart_in_between_costs_nothing(own_server: PostgresServer, store: Store) -> None:
    store.accept(trigger("P1"), "{}")
    own_server.restart()
    assert store.accept(trigger("P2"), "{}").acceptance is Acceptance.NEW_INCIDENT
    assert store.counts_by_status() == {"received": 2}


_WHO = Prepared(sa.select(sa.func.pg_backend_pid()))
_END = Prepared(sa.select(sa.func.pg_terminate_backend(sa.bindparam("pid", type_=sa.Integer))))


def test_a_connection_that_breaks_under_a_statement_is_given_to_nobody_else(store: Store) -> None:
    def write() -> None:
        with store.database.writing() as connection:
            with store.database.reading() as other:
                assert _END.scalar(other, {"pid": _WHO.scalar(connection, {})})
            _WHO.run(connection, {})

    with pytest.raises(StoreAwayError, match="cannot be reached"):
        write()
    for number in range(3):
        assert store.accept(trigger(f"P{number}"), "{}").acceptance is Acceptance.NEW_INCIDENT


def test_a_reader_that_broke_while_nobody_read_costs_nothing(
    own_server: PostgresServer, store: Store
) -> None:
    store.accept(trigger("P1"), "{}")
    assert store.counts_by_status() == {"received": 1}
    own_server.restart()
    assert store.counts_by_status() == {"received": 1}


def test_of_those_who_read_at_once_few_keep_a_connection(store: Store) -> None:
    """Each is one that nobody else can have."""
    with ExitStack() as stack:
        many = [stack.enter_context(store.database.reading()) for _ in range(12)]
        assert len({_WHO.scalar(each, {}) for each in many}) == 12
    with store.database.reading() as connection:
        held = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert connection.execute(held).scalar_one() <= 12
    assert store.database._reader.pool.checkedout() == 4  # type: ignore[attr-defined]


def test_what_postgresql_cannot_hold_is_replaced_in_a_statement_of_ours(store: Store) -> None:
    said = Prepared(sa.select(sa.bindparam("text", type_=sa.Text)))
    with store.database.reading() as connection:
        assert said.scalar(connection, {"text": "a\x00b\ud800 100% %s"}) == "a\ufffdb\ufffd 100% %s"


@pytest.mark.parametrize("known", [True, False], ids=["connected before", "never connected"])
def test_a_server_that_hangs_is_told_when_the_time_is_over(
    own_server: PostgresServer, store: Store, known: bool
) -> None:
    if not known:
        store.close()
    started = time.monotonic()
    with own_server.paused(), until(time.monotonic() + 0.5), pytest.raises(StoreError, match="no"):
        store.accept(trigger("P1"), "{}")
    assert took(started) < 1.5
    assert store.accept(trigger("P1"), "{}").acceptance in (Acceptance.NEW_INCIDENT, Acceptance.DUPLICATE)


@contextmanager
def chaining_elsewhere(store: Store) -> Iterator[None]:
    """Another process that appends to the chain, and takes its time."""
    other = Store(store.database.url, SystemClock())
    with ThreadPoolExecutor(1) as pool:
        begun, over = threading.Event(), threading.Event()

        def chain() -> None:
            with other.database.chaining():
                begun.set()
                over.wait(10)

        pool.submit(chain)
        assert begun.wait(10)
        try:
            yield
        finally:
            over.set()
    other.close()


def test_a_lock_that_nobody_gives_back_is_not_waited_for(store: Store, own_server: PostgresServer) -> None:
    incident = store.accept(trigger(), "{}").incident_id
    with chaining_elsewhere(store), until(time.monotonic() + 0.3), pytest.raises(StoreError):
        store.record(incident, [Entry("a", EventKind.NOTE, "a")])
    assert store.record(incident, [Entry("a", EventKind.NOTE, "a")])


def test_more_work_than_connections_is_told_not_waited_for(store: Store) -> None:
    holding, release = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        with store.database.reading() as connection:
            connection.execute(sa.text("SELECT 1"))
            holding.release()
            release.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(24)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert holding.acquire(timeout=10)
    started = time.monotonic()
    with pytest.raises(StoreError, match="every connection to it is in use"):
        store.counts_by_status()
    assert took(started) < 2.0
    release.set()
    for thread in threads:
        thread.join()
    assert store.counts_by_status() == {}


def test_a_transaction_that_is_forgotten_is_ended_by_the_server(own_server: PostgresServer) -> None:
    limits = {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
    connection = postgres.connect(own_server.url("postgres"))
    shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in limits}  # type: ignore
    connection.close()
    assert all(value.endswith("s") and value != "0" for value in shown.values()), shown


def test_a_rollback_takes_no_limit_back(store: Store) -> None:
    with pytest.raises(StoreError), store.database.writing() as connection:
        connection.execute(sa.text("SELECT 1/0"))
    with store.database.writing() as connection:
        assert connection.execute(sa.text("SHOW statement_timeout")).scalar() == "15s"


NASTY = "Redis \x00 down \x00"


def test_an_alert_with_a_nul_character_is_not_lost(store: Store) -> None:
    event = trigger("P\x001", title=NASTY, service="a\x00b", body=NASTY)
    accepted = store.accept(event, f'{{"raw": "{NASTY}"}}')
    assert accepted.acceptance is Acceptance.NEW_INCIDENT
    assert "Redis" in store.incident(accepted.incident_id).alert.title
    again = store.accept(trigger("P\x001", title=NASTY), "{}")
    assert again.acceptance is Acceptance.DUPLICATE


def test_a_story_with_a_nul_character_keeps_its_chain(store: Store) -> None:
    from agent.adapters.audit_chain import Intact, verify_chain

    incident = store.accept(trigger(), "{}").incident_id
    entry = Entry("out\x00put", EventKind.NOTE, f"it said {NASTY}", {"output": NASTY}, actor="x\x00y")
    assert store.record(incident, [entry])
    assert not store.record(incident, [entry])
    assert isinstance(verify_chain(store.audit_entries()), Intact)
    assert "it said Redis" in store.timeline(incident)[0].text


def test_replicas_that_start_together_make_the_tables_once(own_server: PostgresServer) -> None:
    failed: list[StoreError] = []

    def start(url: str) -> None:
        store = Store(url, SystemClock())
        try:
            store.migrate()
        except StoreError as error:
            failed.append(error)
        finally:
            store.close()

    with own_server.database(migrated=False) as url:
        threads = [threading.Thread(target=start, args=(url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
