"""One database, SQLite or PostgreSQL: connections, transactions, migrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError

from agent.domain.errors import StoreError

#: Serialises writers of the audit chain on PostgreSQL; SQLite has one writer anyway.
_CHAIN_LOCK = 4_017_001


class Database:
    """Reads see committed data without waiting; each write is one durable transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = sa.make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._writer = _engine(url, immediate=True)
        self._reader = _engine(url, immediate=False)

    def migrate(self) -> None:
        """Bring our own tables up to date (Alembic)."""
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.writing() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that is durable when the block ends, or never happened."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise _store_error(error) from error

    @contextmanager
    def chaining(self) -> Iterator[sa.Connection]:
        """A write that appends to the audit chain: one at a time over all processes."""
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read with."""
        try:
            with self._reader.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise _store_error(error) from error

    def insert_once(self, connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
        """Insert unless a unique key is taken; whether it was inserted."""
        dialect = sqlite if self.is_sqlite else postgresql
        statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
        first_key = next(iter(table.primary_key.columns))
        return connection.execute(statement.returning(first_key)).first() is not None

    def upsert(self, connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> None:
        """Insert, or replace the row with the same primary key."""
        dialect = sqlite if self.is_sqlite else postgresql
        keys = [column.name for column in table.primary_key.columns]
        rest = {name: value for name, value in values.items() if name not in keys}
        statement = (
            dialect.insert(table).values(**values).on_conflict_do_update(index_elements=keys, set_=rest)
        )
        connection.execute(statement)

    def close(self) -> None:
        """Give every connection back."""
        self._writer.dispose()
        self._reader.dispose()


def _engine(url: str, *, immediate: bool) -> sa.Engine:
    if sa.make_url(url).get_backend_name() != "sqlite":
        # keepalives end a connection whose server has gone without a word
        arguments = {"connect_timeout": 5, "keepalives": 1, "keepalives_idle": 10, "keepalives_count": 3}
        engine = sa.create_engine(_psycopg(url), pool_pre_ping=True, connect_args=arguments)
        # a writer that waited for the lock must see what was committed meanwhile
        return engine.execution_options(isolation_level="READ COMMITTED" if immediate else "AUTOCOMMIT")
    engine = sa.create_engine(url, pool_size=8, max_overflow=64)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=4000")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if immediate:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _psycopg(url: str) -> sa.URL:
    return sa.make_url(url).set(drivername="postgresql+psycopg")


def _store_error(error: DBAPIError) -> StoreError:
    kind = "cannot be reached or is busy" if isinstance(error, OperationalError) else "refused a statement"
    return StoreError(f"the database {kind}: {error.orig}")


def stamp(moment: datetime) -> str:
    """A time as stored: UTC, microseconds, sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """A stored time as an aware one."""
    return datetime.fromisoformat(text)


def moment_or_none(text: str | None) -> datetime | None:
    """A stored time that may be missing."""
    return None if text is None else datetime.fromisoformat(text)
