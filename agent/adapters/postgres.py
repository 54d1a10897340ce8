"""Connections to PostgreSQL that never keep us waiting: a server that does not answer is one that is down.

The server's own limits (`statement_timeout` and the like) do not help against a server that hangs, and the
kernel's keepalives do not either, for the kernel still answers. So each wait has an end on our side too.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import PQGen

from agent.adapters.patience import left_s
from agent.adapters.prepared import speakable

#: How long one statement may take, by itself: nothing that we ask takes longer than seconds. Whoever has less
#: time says so with `patience.until`, and whoever needs more with `taking`.
_STATEMENT_S = 20.0

_takes: ContextVar[float] = ContextVar("takes", default=_STATEMENT_S)


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    """Within the block a statement is waited for as long as this."""
    token = _takes.set(seconds)
    try:
        yield
    finally:
        _takes.reset(token)


#: What every session tells the server: how long a statement, a lock and a forgotten transaction may last, and
#: that a client whose machine has gone without a word is gone within seconds, with the locks that it held.
_SESSION: Mapping[str, int] = {
    "statement_timeout": 15_000,
    "lock_timeout": 8_000,
    "idle_in_transaction_session_timeout": 10_000,
    "tcp_keepalives_idle": 1,
    "tcp_keepalives_interval": 1,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 4_000,
}

#: The same from our side: a server whose machine has gone without a word (libpq, "Connection parameters").
_CLIENT: Mapping[str, int] = {
    "connect_timeout": 2,  # libpq takes no less
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4_000,
}

#: Connections of one process for our own tables: each costs the server a process, and replicas add up.
_POOL: Mapping[str, Any] = {"pool_size": 8, "max_overflow": 16, "pool_timeout": 1.0}

#: And for the legs of runs, whose threads stand in line for one.
_POOL_FOR_RUNS: Mapping[str, Any] = {"pool_size": 4, "max_overflow": 8, "pool_timeout": 30.0}


#: Asked before each use, a connection would go the way to the server twice. No server ends and begins again
#: in this time; if its connection breaks within it, the statement says so, and may be tried again.
_FRESH_S = 0.05

_RESTS_SINCE = "rests_since"


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is given up when the server does not answer in time."""

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Run psycopg's side of the talk; over its time the connection is closed, and the error says so."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        limit = max(min(_takes.get(), left_s()), 0.0)
        until = time.monotonic() + limit
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if time.monotonic() < until:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from None


def _open(*arguments: Any, **named: Any) -> PatientConnection:
    """libpq bounds an attempt to connect by 2 s at least; who has less time leaves it to a thread."""
    named |= _CLIENT
    left = left_s()
    if left >= _CLIENT["connect_timeout"]:
        return PatientConnection.connect(*arguments, **named)
    future: Future[PatientConnection] = Future()
    threading.Thread(target=_open_later, args=(future, arguments, named), name="connect", daemon=True).start()
    try:
        return future.result(max(left, 0.0))
    except TimeoutError:
        future.add_done_callback(_close_late)
        raise psycopg.OperationalError(f"no connection within {max(left, 0.0):.1f} s") from None


def _open_later(future: Future[PatientConnection], arguments: Any, named: dict[str, Any]) -> None:
    try:
        future.set_result(PatientConnection.connect(*arguments, **named))
    except psycopg.Error as error:
        future.set_exception(error)


def _close_late(future: Future[PatientConnection]) -> None:
    if future.exception() is None:
        future.result().close()


def connect(url: str, *, autocommit: bool = True) -> PatientConnection:
    """A connection of its own, outside of every pool: to hold locks with, or to listen on."""
    arguments = sa.make_url(url).translate_connect_args(username="user", database="dbname")
    query = {name: str(value) for name, value in sa.make_url(url).query.items()}
    connection = _open(autocommit=autocommit, **(arguments | query))
    _introduce(connection)
    return connection


def engine(url: str, *, for_runs: bool = False) -> sa.Engine:
    """A pool of patient connections."""
    pool = _POOL_FOR_RUNS if for_runs else _POOL
    address = sa.make_url(url).set(drivername="postgresql+psycopg")
    made = sa.create_engine(address, use_native_hstore=False, **pool)

    @sa.event.listens_for(made, "do_connect")
    def connect_patiently(_: Any, __: Any, arguments: Any, named: dict[str, Any]) -> PatientConnection:
        return _open(*arguments, **named)

    @sa.event.listens_for(made, "connect")
    def introduce(connection: PatientConnection, _: object) -> None:
        _introduce(connection)

    @sa.event.listens_for(made, "checkin")
    def rests(_: Any, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    @sa.event.listens_for(made, "checkout")
    def look(connection: PatientConnection, record: Any, _: Any) -> None:
        if not is_there(connection, record.info.get(_RESTS_SINCE, math.inf)):
            raise sa.exc.DisconnectionError("it has gone")  # the pool opens another one

    @sa.event.listens_for(made, "before_cursor_execute", retval=True)
    def storable(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> tuple[str, Any]:
        if many:
            return statement, [speakable(each) if isinstance(each, Mapping) else each for each in parameters]
        return statement, speakable(parameters) if isinstance(parameters, Mapping) else parameters

    return made


def _introduce(connection: PatientConnection) -> None:
    """Tell the server our limits, outside of any transaction: a rollback would take them back."""
    was = connection.autocommit
    try:
        connection.autocommit = True
        connection.execute("; ".join(f"SET {name} = {value}" for name, value in _SESSION.items()))
        connection.autocommit = was
    except psycopg.Error:
        connection.close()
        raise


def is_there(connection: PatientConnection, rests_since: float) -> bool:
    """Whether it can be used; one that was used a moment ago is not asked, for that is a way to the server.

    `rests_since`: on the monotonic clock. Its server is asked outside of any transaction.
    """
    if time.monotonic() - rests_since < _FRESH_S:
        return True
    try:
        connection.execute("SELECT 1")
        if not connection.autocommit:
            connection.rollback()
    except psycopg.Error:
        return False
    return True
