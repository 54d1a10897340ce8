"""Statements that are written once, in SQLAlchemy's words, and run many times a second.

On SQLite a statement itself takes microseconds and SQLAlchemy's way to it ten times as long, with everybody
waiting in line for the writer. So there the text, made once, goes straight to the driver. PostgreSQL is far
away anyhow: there SQLAlchemy runs it.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from agent.domain.errors import StatementRefusedError, StoreAwayError, StoreError

Values = Mapping[str, Any]
Row = Any

_SQLITE = sqlite.dialect(paramstyle="named")


class Prepared:
    """One statement; its values are bound by name, and those of an INSERT say which columns it sets."""

    def __init__(self, statement: sa.Executable, *, on_postgresql: sa.Executable | None = None) -> None:
        self._statement = statement
        self._on_postgresql = statement if on_postgresql is None else on_postgresql
        self._texts: dict[tuple[str, ...], _Text] = {}

    def first(self, connection: sa.Connection, values: Values) -> Row | None:
        """The first row, if there is one."""
        raw = _sqlite_of(connection)
        if raw is None:
            return connection.execute(self._on_postgresql, values).first()
        rows = self._text(values).run(raw, values)
        return rows[0] if rows else None

    def all(self, connection: sa.Connection, values: Values) -> Sequence[Row]:
        """Every row."""
        raw = _sqlite_of(connection)
        if raw is None:
            return connection.execute(self._on_postgresql, values).all()
        return self._text(values).run(raw, values)

    def scalar(self, connection: sa.Connection, values: Values) -> Any:
        """The first column of the first row, None if there is none."""
        row = self.first(connection, values)
        return None if row is None else row[0]

    def run(self, connection: sa.Connection, values: Values) -> None:
        """Run it for what it changes."""
        self.all(connection, values) if _sqlite_of(connection) else connection.execute(
            self._on_postgresql, values
        )

    def run_many(self, connection: sa.Connection, values: Sequence[Values]) -> None:
        """Run it once for each; all set the same columns."""
        if not values:
            return
        raw = _sqlite_of(connection)
        if raw is None:
            connection.execute(self._on_postgresql, values)
        else:
            self._text(values[0]).run_many(raw, values)

    def run_together(self, connection: sa.Connection, values: Sequence[Values]) -> None:
        """An INSERT of several rows in one statement; all set the same columns."""
        raw = _sqlite_of(connection)
        if raw is None or not values:
            self.run_many(connection, values)
            return
        rows = {f"{name}_m{place}": each[name] for place, each in enumerate(values) for name in each}
        self._text_of_many(tuple(values[0]), len(values)).run(raw, rows)

    def explained(self, connection: sa.Connection, values: Values) -> str:
        """How SQLite would go about it."""
        text = self._text(values)
        raw = _sqlite_of(connection)
        if raw is None:
            raise TypeError("only SQLite is asked")
        return "\n".join(
            str(row[-1]) for row in raw.execute(f"EXPLAIN QUERY PLAN {text.sql}", text.bound(values))
        )

    def _text(self, values: Values) -> _Text:
        names = tuple(values)
        text = self._texts.get(names)
        if text is None:
            text = self._texts[names] = _Text(self._statement, names)
        return text

    def _text_of_many(self, columns: tuple[str, ...], count: int) -> _Text:
        text = self._texts.get((*columns, str(count)))
        if text is None:
            row = dict.fromkeys(columns)
            many = self._statement.values([row] * count)  # type: ignore[attr-defined]
            names = [f"{column}_m{place}" for place in range(count) for column in columns]
            text = self._texts[(*columns, str(count))] = _Text(many, names)
        return text


class _Text:
    """The statement in SQLite's words, for values of these names."""

    def __init__(self, statement: sa.Executable, names: Sequence[str]) -> None:
        compiled = statement.compile(  # type: ignore[attr-defined]
            dialect=_SQLITE, column_keys=list(names), compile_kwargs={"render_postcompile": True}
        )
        unknown = set(names) - set(compiled.params)
        if unknown:  # left out, it would be lost without a word
            raise TypeError(f"the statement knows no {', '.join(sorted(unknown))}: {compiled}")
        self.sql = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if name not in names}
        self._row: Callable[[tuple[Any, ...]], Row] | None = None

    def bound(self, values: Values) -> Values:
        return {**self._constants, **values} if self._constants else values

    def run(self, raw: sqlite3.Connection, values: Values) -> list[Row]:
        try:
            cursor = raw.execute(self.sql, self.bound(values))
            found = cursor.fetchall()
            return list(map(self._row or self._rows_of(cursor), found)) if found else found
        except sqlite3.Error as error:
            raise _of_sqlite(error) from error

    def run_many(self, raw: sqlite3.Connection, values: Sequence[Values]) -> None:
        try:
            raw.executemany(self.sql, [self.bound(each) for each in values])
        except sqlite3.Error as error:
            raise _of_sqlite(error) from error

    def _rows_of(self, cursor: sqlite3.Cursor) -> Callable[[tuple[Any, ...]], Row]:
        kind = namedtuple("Row", [column[0] for column in cursor.description], rename=True)  # type: ignore[misc]
        self._row = partial(tuple.__new__, kind)  # what `_make` does, without asking for the length
        return self._row


def insert_once(table: sa.Table, *keys: str) -> Prepared:
    """An INSERT that gives no row back where these unique columns (or any) are taken."""
    given = {"index_elements": list(keys)} if keys else {}
    first = next(iter(table.primary_key.columns))
    on_sqlite, on_postgresql = (
        dialect.insert(table).on_conflict_do_nothing(**given).returning(first)
        for dialect in (sqlite, postgresql)
    )
    return Prepared(on_sqlite, on_postgresql=on_postgresql)


def _sqlite_of(connection: sa.Connection) -> sqlite3.Connection | None:
    """The driver's own connection, if it is SQLite's."""
    if connection.dialect.name != "sqlite":
        return None
    raw: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    return raw


def store_error(error: BaseException | None, *, is_passing: bool) -> StoreError:
    """What a driver says, in words: whether it may be tried again, or nothing will help."""
    if is_passing:
        return StoreAwayError(f"the database cannot be reached or is busy: {error}")
    return StatementRefusedError(f"the database refused a statement: {error}")


def _of_sqlite(error: sqlite3.Error) -> StoreError:
    return store_error(error, is_passing=isinstance(error, sqlite3.OperationalError))
