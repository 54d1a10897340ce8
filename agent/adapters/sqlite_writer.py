"""SQLite's one writer, shared by all threads of a process: in the order in which they came, commits together.

Threads that each open a transaction of their own poll for SQLite's lock: whoever sleeps shortest wins, and
most of their time is waiting. Here they stand in line. A block that is done leaves the transaction open for
the next one in line; the last one, or one that finds it full or old, commits for all. Each block returns once
that commit is durable, and fails if it failed. A block that raises takes back what it did itself, and nothing
else.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from agent.adapters.floor import step_aside
from agent.adapters.prepared import store_error
from agent.domain.errors import StoreAwayError, StoreError

#: Blocks that one commit makes durable, and how long the first of them may wait for the others.
_MOST_TOGETHER = 64
_LONGEST_TOGETHER_S = 0.02

#: How long an orderly end waits for whoever is writing.
_CLOSING_S = 2.0

#: Where a connection's `info` keeps what is remembered for as long as its transaction lasts.
SCRATCH = "transaction"


class _Place:
    """One block's place in line; also where it waits for its commit."""

    __slots__ = ("_gate", "error", "has_turn")

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.has_turn = False
        self.error = ""

    def wait(self, timeout_s: float = -1) -> bool:
        return self._gate.acquire(timeout=timeout_s)

    def wake(self) -> None:
        self._gate.release()


class _Batch:
    """Blocks that are done and wait for one commit."""

    __slots__ = ("begun_at", "members")

    def __init__(self) -> None:
        self.begun_at = time.monotonic()
        self.members: list[_Place] = []

    def has_room(self) -> bool:
        if len(self.members) >= _MOST_TOGETHER:
            return False
        return time.monotonic() - self.begun_at < _LONGEST_TOGETHER_S

    def settle(self, error: str = "") -> None:
        for place in self.members:
            place.error = error
            place.wake()


class SharedWriter:
    """One connection, a line in front of it, and a transaction that several blocks may share."""

    def __init__(self, connect: Callable[[], sa.Connection]) -> None:
        self._connect = connect
        self._guard = threading.Lock()
        self._line: deque[_Place] = deque()
        self._is_taken = False
        # what follows is touched by whoever has the turn
        self._connection: sa.Connection | None = None
        self._sqlite: sqlite3.Connection | None = None
        self._batch: _Batch | None = None
        self._patience_quarters = -1

    @contextmanager
    def block(self, within_s: float) -> Iterator[sa.Connection]:
        """One block of writes, durable when it ends; StoreError if its turn does not come in time."""
        deadline = time.monotonic() + within_s
        place = _Place()
        self._take_turn(place, within_s)
        try:
            connection = self._open(deadline)
            yield connection
        except BaseException:
            self._take_back()
            self._pass_on()
            raise
        self._keep(place)
        if place.error:
            raise StoreAwayError(place.error)

    def close(self) -> None:
        """Give the connection back; the next block opens another."""
        with suppress(StoreError):
            self._take_turn(_Place(), _CLOSING_S)
            self._commit()
            self._discard()
            self._pass_on()

    def _take_turn(self, place: _Place, within_s: float) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            self._line.append(place)
        if place.wait(max(within_s, 0.0)):
            return
        with self._guard:
            if not place.has_turn:
                self._line.remove(place)
        if place.has_turn:  # it came in the last moment; its sign must not be taken for that of the commit
            place.wait()
            return
        raise StoreAwayError(f"the database is busy: no turn to write within {within_s:g} s")

    def _hand_over(self) -> bool:
        """The turn goes to the next in line; False if nobody waits: the turn is kept."""
        with self._guard:
            if not self._line:
                return False
            following = self._line.popleft()
            following.has_turn = True
        following.wake()
        return True

    def _open(self, deadline: float) -> sa.Connection:
        """A transaction for oneself, or a savepoint in the one that is open."""
        if self._connection is None:
            self._connection = self._connected()
        if self._batch is not None:
            self._do("SAVEPOINT block")
            return self._connection
        self._wait_at_most(deadline - time.monotonic())
        self._do("BEGIN IMMEDIATE")
        self._batch = _Batch()
        self._connection.info[SCRATCH] = {}
        return self._connection

    def _wait_at_most(self, seconds: float) -> None:
        """For another process's lock; told to SQLite when it changed by a quarter of a second."""
        quarters = max(math.ceil(seconds * 4), 0)
        if quarters != self._patience_quarters:
            self._do(f"PRAGMA busy_timeout={quarters * 250}")
            self._patience_quarters = quarters

    def _connected(self) -> sa.Connection:
        try:
            connection = self._connect()
        except sa.exc.DBAPIError as error:
            raise store_error(error.orig, is_passing=True) from error
        self._patience_quarters = -1
        connection.begin()  # SQLAlchemy's own idea of a transaction; what SQLite does is said here alone
        self._sqlite = connection.connection.dbapi_connection  # type: ignore[assignment]
        return connection

    def _keep(self, place: _Place) -> None:
        """The block is done: leave its commit to the next in line, or commit for all."""
        batch = self._batch
        if batch is None or not self._in_transaction():
            place.error = "the database took back the whole transaction"
            self._lost(place.error)
            self._pass_on()
            return
        if batch.members:
            self._do("RELEASE block")
        batch.members.append(place)
        step_aside()  # others think while it is synced
        if batch.has_room() and self._hand_over():
            place.wait()
            return
        self._commit()
        self._pass_on()
        place.wait()

    def _take_back(self) -> None:
        """Undo the block that failed; what others did in the same transaction stays."""
        if self._connection is None or self._batch is None:
            return
        self._connection.info[SCRATCH] = {}
        if not self._in_transaction():
            self._lost("the database took back the whole transaction when a later write failed")
            return
        try:
            if self._batch.members:
                self._do("ROLLBACK TO block")
                self._do("RELEASE block")
            else:
                self._do("ROLLBACK")
                self._batch = None
        except StoreError as error:
            self._lost(str(error))

    def _pass_on(self) -> None:
        """Give the turn away; whoever waits for a commit gets it from the next in line, or now."""
        while True:
            batch = self._batch
            if batch is not None and not (batch.has_room() and self._line):
                self._commit()
            with self._guard:
                if not self._line and self._batch is None:
                    self._is_taken = False
                    return
            if self._hand_over():
                return

    def _commit(self) -> None:
        batch, self._batch = self._batch, None
        if batch is None:
            return
        try:
            self._do("COMMIT")
        except StoreError as error:
            self._discard()
            batch.settle(str(error))
        else:
            batch.settle()

    def _lost(self, why: str) -> None:
        """Nothing of the transaction is left: everybody in it is told, and the connection is not trusted."""
        batch, self._batch = self._batch, None
        self._discard()
        if batch is not None:
            batch.settle(why)

    def _discard(self) -> None:
        """Close the connection, and with it what was not committed."""
        connection, self._connection, self._sqlite = self._connection, None, None
        if connection is not None:
            with suppress(sa.exc.SQLAlchemyError, sqlite3.Error):
                connection.invalidate()
            with suppress(sa.exc.SQLAlchemyError, sqlite3.Error):
                connection.close()

    def _in_transaction(self) -> bool:
        return self._sqlite is not None and self._sqlite.in_transaction

    def _do(self, statement: str) -> None:
        if self._sqlite is None:
            raise StoreAwayError("the connection to the database was closed")
        try:
            self._sqlite.execute(statement)
        except sqlite3.Error as error:
            raise store_error(error, is_passing=True) from error
