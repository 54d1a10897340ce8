"""SQLite's own upkeep: deleted room goes back to the disk, and the log of recent writes stays small."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from agent.adapters.database import Database
from agent.ports import Clock

#: Pages given back in one transaction: a few milliseconds of other writers' time.
_PAGES_AT_ONCE = 200

#: Between two of them.
_PAUSE_S = 0.005

#: How long one waits for other writers before the rest is left to the next pass.
_PATIENCE_S = 1.0

#: SQLite's number for `auto_vacuum = INCREMENTAL`.
_INCREMENTAL = 2

#: Free pages that are kept for what comes next.
_SPARE_PAGES = 250

#: A log of this size is written back into the database when nobody reads an old view of it.
_LARGE_LOG_BYTES = 16 << 20


def give_back(database: Database, should_stop: Callable[[], bool], clock: Clock) -> int:
    """Give free pages back to the disk, a few at a time; how many. Nothing on PostgreSQL (autovacuum).

    On a connection of its own: within a transaction the driver lets go of one page a call.
    """
    path = path_of(database)
    if path is None:
        return 0
    given = 0
    with closing(sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)) as connection:
        if _number(connection, "auto_vacuum") != _INCREMENTAL:
            return 0
        while not should_stop() and (free := _number(connection, "freelist_count")) > _SPARE_PAGES:
            try:
                connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            except sqlite3.OperationalError:
                break  # writers have the better right; the next pass goes on
            given += free - _number(connection, "freelist_count")
            clock.sleep(_PAUSE_S)
    return given


def shorten_log(database: Database) -> bool:
    """Write a large log back and empty it; whether that was possible. Waits for nobody.

    A reader of an old view, such as a backup, keeps the log; it is tried again.
    """
    path = path_of(database)
    if path is None or not _is_large(path):
        return True
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
    return not busy


def path_of(database: Database) -> Path | None:
    """The file of an SQLite database."""
    name = sa.make_url(database.url).database if database.is_sqlite else None
    return Path(name) if name else None


def _is_large(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > _LARGE_LOG_BYTES


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
