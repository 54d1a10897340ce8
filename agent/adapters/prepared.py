"""Statements that are written once, in SQLAlchemy's words, and run many times a second.

A statement itself takes microseconds, and SQLAlchemy's way to it ten times as long, with everybody waiting in
line for the interpreter, and on SQLite for the writer. So the text, made once, goes straight to the driver.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from agent.adapters.json_view import clean
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
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def all(self, connection: sa.Connection, values: Values) -> Sequence[Row]:
        """Every row."""
        return self._text(connection, values).run(connection, values)

    def scalar(self, connection: sa.Connection, values: Values) -> Any:
        """The first column of the first row, None if there is none."""
        row = self.first(connection, values)
        return None if row is None else row[0]

    def run(self, connection: sa.Connection, values: Values) -> None:
        """Run it for what it changes."""
        self.all(connection, values)

    def run_many(self, connection: sa.Connection, values: Sequence[Values]) -> None:
        """Run it once for each; all set the same columns."""
        if values:
            self._text(connection, values[0]).run_many(connection, values)

    def run_together(self, connection: sa.Connection, values: Sequence[Values]) -> None:
        """An INSERT of several rows in one statement; all set the same columns."""
        if not values:
            return
        rows = {f"{name}_m{place}": each[name] for place, each in enumerate(values) for name in each}
        self._text_of_many(connection, tuple(values[0]), len(values)).run(connection, rows)

    def explained(self, connection: sa.Connection, values: Values) -> str:
        """How SQLite would go about it."""
        if connection.dialect.name != "sqlite":
            raise TypeError("only SQLite is asked")
        return self._text(connection, values).explained(connection, values)

    def _text(self, connection: sa.Connection, values: Values) -> _Text:
        key = (connection.dialect.name, *values)
        text = self._texts.get(key)
        if text is None:
            statement = self._in_words_of(connection.dialect)
            text = self._texts[key] = _Text(statement, tuple(values), connection.dialect)
        return text

    def _text_of_many(self, connection: sa.Connection, columns: tuple[str, ...], count: int) -> _Text:
        key = (connection.dialect.name, *columns, str(count))
        text = self._texts.get(key)
        if text is None:
            row = dict.fromkeys(columns)
            many = self._in_words_of(connection.dialect).values([row] * count)  # type: ignore[attr-defined]
            names = [f"{column}_m{place}" for place in range(count) for column in columns]
            text = self._texts[key] = _Text(many, names, connection.dialect)
        return text

    def _in_words_of(self, dialect: sa.Dialect) -> sa.Executable:
        return self._statement if dialect.name == "sqlite" else self._on_postgresql


class _Text:
    """The statement in one database's words, for values of these names."""

    def __init__(self, statement: sa.Executable, names: Sequence[str], dialect: sa.Dialect) -> None:
        self._is_sqlite = dialect.name == "sqlite"
        self._driver: Any = dialect.loaded_dbapi
        compiled = statement.compile(  # type: ignore[attr-defined]
            dialect=_SQLITE if self._is_sqlite else dialect,
            column_keys=list(names),
            compile_kwargs={"render_postcompile": True},
        )
        unknown = set(names) - set(compiled.params)
        if unknown:  # left out, it would be lost without a word
            raise TypeError(f"the statement knows no {', '.join(sorted(unknown))}: {compiled}")
        self._sql = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if name not in names}
        self._row: Callable[[tuple[Any, ...]], Row] | None = None

    def run(self, connection: sa.Connection, values: Values) -> list[Row]:
        raw = _raw(connection)
        try:
            cursor = raw.execute(self._sql, self._bound(values))
            found = self._found(cursor)
            return list(map(self._row or self._rows_of(cursor), found)) if found else found
        except self._driver.Error as error:
            raise self._told(connection, error) from error

    def run_many(self, connection: sa.Connection, values: Sequence[Values]) -> None:
        raw = _raw(connection)
        try:
            raw.cursor().executemany(self._sql, [self._bound(each) for each in values])
        except self._driver.Error as error:
            raise self._told(connection, error) from error

    def explained(self, connection: sa.Connection, values: Values) -> str:
        plan = _raw(connection).execute(f"EXPLAIN QUERY PLAN {self._sql}", self._bound(values))
        return "\n".join(str(row[-1]) for row in plan)

    def _bound(self, values: Values) -> Values:
        bound = {**self._constants, **values} if self._constants else values
        return bound if self._is_sqlite else speakable(bound)

    def _found(self, cursor: Any) -> list[Any]:
        """psycopg is not to be asked for the rows of a statement that gives none."""
        gives_rows = self._is_sqlite or (cursor.pgresult is not None and cursor.pgresult.nfields)
        return list(cursor.fetchall()) if gives_rows else []

    def _rows_of(self, cursor: Any) -> Callable[[tuple[Any, ...]], Row]:
        kind = namedtuple("Row", [column[0] for column in cursor.description], rename=True)  # type: ignore[misc]
        self._row = partial(tuple.__new__, kind)  # what `_make` does, without asking for the length
        return self._row

    def _told(self, connection: sa.Connection, error: Exception) -> StoreError:
        if not self._is_sqlite and _raw(connection).closed:
            connection.invalidate(error)  # else the pool would give it to somebody else
        return store_error(error, is_passing=isinstance(error, self._driver.OperationalError))


def speakable(values: Values) -> Values:
    """PostgreSQL's text holds no NUL (manual, "Character Types"): replaced, never refused."""
    return {name: clean(value) if isinstance(value, str) else value for name, value in values.items()}


def insert_once(table: sa.Table, *keys: str) -> Prepared:
    """An INSERT that gives no row back where these unique columns (or any) are taken."""
    given = {"index_elements": list(keys)} if keys else {}
    first = next(iter(table.primary_key.columns))
    on_sqlite, on_postgresql = (
        dialect.insert(table).on_conflict_do_nothing(**given).returning(first)
        for dialect in (sqlite, postgresql)
    )
    return Prepared(on_sqlite, on_postgresql=on_postgresql)


def _raw(connection: sa.Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.dbapi_connection


def store_error(error: BaseException | None, *, is_passing: bool) -> StoreError:
    """What a driver says, in words: whether it may be tried again, or nothing will help."""
    if is_passing:
        return StoreAwayError(f"the database cannot be reached or is busy: {error}")
    return StatementRefusedError(f"the database refused a statement: {error}")
