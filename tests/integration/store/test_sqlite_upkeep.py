"""The SQLite file gives room back, and its log of recent writes does not grow without bound."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from agent.adapters.archiver import Archiver
from agent.adapters.fake_clock import FakeClock
from agent.adapters.sqlite_upkeep import give_back, path_of, shorten_log
from agent.adapters.store import Store
from agent.config import parse
from agent.domain.alert import Alert
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def path(store: Store) -> Path:
    found = path_of(store.database)
    assert found is not None
    return found


def log_bytes(store: Store) -> int:
    return path(store).with_name("oncall.db-wal").stat().st_size


def write_megabytes(store: Store, count: int) -> list[str]:
    """Each an ended incident of its own."""
    ids = []
    for _ in range(count):
        incident_id = store.open_manual(Alert("manual", "m-1", "Redis connection timeout"))
        text = "x" * (1 << 20)
        store.record(incident_id, [Entry("a", EventKind.NOTE, text)], changes=Changes(status=Status.RESOLVED))
        ids.append(incident_id)
    return ids


def test_deleted_room_goes_back_to_the_disk(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    write_megabytes(store, 20)
    clock.sleep(100 * 86_400)
    with store.database.reading() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path(store).stat().st_size
    config = parse({"retention": {"archive": str(tmp_path / "archive")}}, path="config.yaml")
    assert Archiver(store, config).run().incidents == 20
    with store.database.reading() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert before > 20 << 20
    assert path(store).stat().st_size < 8 << 20


def test_giving_back_stops_when_the_daemon_stops(store: Store, clock: FakeClock) -> None:
    ids = write_megabytes(store, 20)
    with store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM timeline")
    assert ids
    assert give_back(store.database, lambda: True, clock) == 0
    assert give_back(store.database, lambda: False, clock) > 3_000


def test_a_database_made_without_it_is_left_as_it_is(tmp_path: Path, clock: FakeClock) -> None:
    sqlite3.connect(tmp_path / "old.db").execute("CREATE TABLE t (a)").connection.close()
    store = Store(f"sqlite:///{tmp_path}/old.db", clock)
    store.migrate()
    assert give_back(store.database, lambda: False, clock) == 0
    store.close()


def test_a_large_log_is_written_back_and_emptied(store: Store) -> None:
    with store.database.reading() as connection, connection.begin():
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT count(*) FROM incidents").fetchall()
        write_megabytes(store, 25)
        assert log_bytes(store) > 25 << 20
        before = time.monotonic()
        assert not shorten_log(store.database)
        assert time.monotonic() - before < 1
        connection.exec_driver_sql("COMMIT")
    assert shorten_log(store.database)
    assert log_bytes(store) == 0


def test_a_small_log_is_left_alone(store: Store) -> None:
    write_megabytes(store, 1)
    before = log_bytes(store)
    assert shorten_log(store.database)
    assert log_bytes(store) == before
