"""One database, SQLite or PostgreSQL: connections, transactions, migrations."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from agent.adapters.patience import left_s, until
from agent.adapters.prepared import Prepared, insert_once, store_error
from agent.adapters.riding import aboard
from agent.adapters.sqlite_writer import SCRATCH, SharedWriter
from agent.domain.errors import StoreAwayError, StoreError

#: Serialises writers of the audit chain on PostgreSQL; SQLite has one writer anyway.
_CHAIN_LOCK = 4_017_001

#: Replicas that start together change the tables one after the other.
_MIGRATION_LOCK = 4_017_002

_MIGRATION_MAY_TAKE_S = 600.0

_TAKE_CHAIN_LOCK = Prepared(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))

#: A log that one long reader made grow is cut to this size when it is written back.
_LOG_STAYS_BYTES = 16 << 20

#: Connections that wait to be read with again.
_IDLE_READERS = 16

#: On PostgreSQL they are connections of the pool that nobody else can have.
_IDLE_READERS_AFAR = 4

#: How long a write waits for its turn before it is an error that may be tried again.
_WITHIN_S = 4.0

#: And how long to append to the chain on PostgreSQL, where other processes stand in the same line.
_TURN_S = 10.0


class Database:
    """Reads see committed data without waiting; each write is one durable transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = sa.make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._writer, self._reader = _sqlite_engines(url) if self.is_sqlite else _postgres_engines(url)
        self._shared = SharedWriter(self._writer.connect)
        self._idle: list[tuple[sa.Connection, float]] = []  # and since when
        self._mine = threading.local()
        self._chain_turn = threading.Lock()

    def migrate(self) -> None:
        """Bring our own tables up to date (Alembic)."""
        import alembic.command  # what only an upgrade needs is not loaded by a command typed in a hurry
        import alembic.config

        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._migrating() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    @contextmanager
    def _migrating(self) -> Iterator[sa.Connection]:
        """One process at a time, for as long as it takes; on SQLite every write is so."""
        if self.is_sqlite:
            with self.writing() as connection:
                yield connection
            return
        from agent.adapters import postgres

        with postgres.taking(_MIGRATION_MAY_TAKE_S), self.writing() as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            yield connection

    def writing(
        self, *, within_s: float | None = None, is_urgent: bool = False
    ) -> AbstractContextManager[sa.Connection]:
        """One transaction that is durable when the block ends, or never happened.

        StoreError if it does not come to its turn in time. On SQLite all writers of the process stand in one
        line and share commits; keep blocks short. One block inside another could promise nothing: what the
        inner one wrote would hang on the outer one's end. What is urgent does not wait in the line of those
        who append to the chain: what rides along is left for the next transaction, where it would have to.
        """
        return self._written(within_s, chains=False, is_alone=is_urgent and not self.is_sqlite)

    def chaining(self, *, within_s: float | None = None) -> AbstractContextManager[sa.Connection]:
        """A write that appends to the audit chain: one at a time over all processes."""
        return self._written(within_s, chains=True)

    @contextmanager
    def _written(
        self, within_s: float | None, *, chains: bool, is_alone: bool = False
    ) -> Iterator[sa.Connection]:
        if getattr(self._mine, "is_writing", False):
            raise RuntimeError(
                "writing() inside writing() of the same thread: hand the connection on instead"
            )
        self._mine.is_writing = True
        rider = None if is_alone else aboard()  # what a run has to remember, and to tell
        try:
            with self._block(within_s, chains=chains or (rider is not None and rider.tells)) as connection:
                if rider is not None:
                    rider.board(connection)
                yield connection
            if rider is not None:
                rider.arrived()
        except (DBAPIError, PoolTimeout) as error:
            raise _store_error(error) from error
        finally:
            self._mine.is_writing = False

    def _block(self, within_s: float | None, *, chains: bool) -> AbstractContextManager[sa.Connection]:
        if self.is_sqlite:
            return self._shared.block(_WITHIN_S if within_s is None else within_s)
        return self._in_turn(within_s) if chains else self._transaction(within_s)

    @contextmanager
    def _transaction(self, within_s: float | None) -> Iterator[sa.Connection]:
        """PostgreSQL's own."""
        with _patience(within_s), self._writer.begin() as connection:
            connection.info[SCRATCH] = {}
            yield connection

    @contextmanager
    def _in_turn(self, within_s: float | None) -> Iterator[sa.Connection]:
        with self._turn(within_s), self._transaction(within_s) as connection:
            self.hold_chain(connection)
            yield connection

    @contextmanager
    def _turn(self, within_s: float | None) -> Iterator[None]:
        """On PostgreSQL one thread of a process stands in line: the others hold no connection meanwhile."""
        patience_s = max(0.0, min(_TURN_S if within_s is None else within_s, left_s()))
        if not self._chain_turn.acquire(timeout=patience_s):
            raise StoreAwayError("the database is busy: nothing could be told in time")
        try:
            yield
        finally:
            self._chain_turn.release()

    def hold_chain(self, connection: sa.Connection) -> None:
        """Within a write that finds out that it appends to the chain; before it locks any incident."""
        if not self.is_sqlite:
            _TAKE_CHAIN_LOCK.run(connection, {})

    @staticmethod
    def remembered(connection: sa.Connection) -> dict[str, Any]:
        """What is known for as long as the transaction of a writing block lasts, and forgotten with it."""
        scratch: dict[str, Any] = connection.info[SCRATCH]
        return scratch

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read with."""
        try:
            with self._view() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise _store_error(error) from error

    @contextmanager
    def _view(self) -> Iterator[sa.Connection]:
        """The one that was read with last, if it is free: nothing has to be made ready again."""
        connection = self._reader_at_hand()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < (_IDLE_READERS if self.is_sqlite else _IDLE_READERS_AFAR):
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()

    def _reader_at_hand(self) -> sa.Connection:
        try:
            connection, since = self._idle.pop()
        except IndexError:
            return self._reader.connect()
        if self.is_sqlite or self._is_there(connection, since):
            return connection
        connection.invalidate()
        connection.close()
        return self._reader.connect()

    @staticmethod
    def _is_there(connection: sa.Connection, since: float) -> bool:
        from agent.adapters import postgres

        return postgres.is_there(connection.connection.dbapi_connection, since)  # type: ignore[arg-type]

    def insert_once(self, connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert unless a unique key is taken; whether it was inserted."""
        return _once(table).first(connection, values) is not None

    def upsert(self, connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> None:
        """Insert, or replace the row with the same primary key."""
        _replacing(table, tuple(values)).run(connection, values)

    def close(self) -> None:
        """Give every connection back."""
        self._shared.close()
        while self._idle:
            self._idle.pop()[0].close()
        self._writer.dispose()
        self._reader.dispose()


@cache
def _once(table: sa.Table) -> Prepared:
    return insert_once(table)


@cache
def _replacing(table: sa.Table, names: tuple[str, ...]) -> Prepared:
    keys = [column.name for column in table.primary_key.columns]
    on_sqlite, on_postgresql = (
        insert.on_conflict_do_update(
            index_elements=keys,
            set_={name: insert.excluded[name] for name in names if name not in keys},
        )
        for insert in (sqlite.insert(table), postgresql.insert(table))
    )
    return Prepared(on_sqlite, on_postgresql=on_postgresql)


def _postgres_engines(url: str) -> tuple[sa.Engine, sa.Engine]:
    """One pool for both: each connection costs the server a process."""
    from agent.adapters import postgres  # its driver is an extra that SQLite does without

    engine = postgres.engine(url)
    # a writer that waited for the lock must see what was committed meanwhile
    writer = engine.execution_options(isolation_level="READ COMMITTED")
    return writer, engine.execution_options(isolation_level="AUTOCOMMIT")


def _patience(within_s: float | None) -> AbstractContextManager[None]:
    return nullcontext() if within_s is None else until(time.monotonic() + min(within_s, left_s()))


def _sqlite_engines(url: str) -> tuple[sa.Engine, sa.Engine]:
    writer, reader = sa.create_engine(url), sa.create_engine(url, pool_size=8, max_overflow=64)
    for engine in (writer, reader):
        sa.event.listen(engine, "connect", _prepare)
    return writer, reader


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=4000")
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        # counts for a new file, before all else; for any other it would only take the write lock
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_STAYS_BYTES}")
    connection.execute("PRAGMA synchronous=FULL")


def _store_error(error: DBAPIError | PoolTimeout) -> StoreError:
    if not isinstance(error, DBAPIError):
        return StoreAwayError("the database is busy: every connection to it is in use")
    return store_error(error.orig, is_passing=isinstance(error, OperationalError))


def stamp(moment: datetime) -> str:
    """A time as stored: UTC, microseconds, sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """A stored time as an aware one."""
    return datetime.fromisoformat(text)


def moment_or_none(text: str | None) -> datetime | None:
    """A stored time that may be missing."""
    return None if text is None else datetime.fromisoformat(text)
