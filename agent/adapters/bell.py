"""Lets one process hear at once that another one stored something for it; nobody relies on it.

PostgreSQL has NOTIFY. It is not part of the transaction that stores: a commit with a notification takes a
lock that all such commits share, and waits for the disk under it. In SQLite every commit can be seen.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString, Protocol

import sqlalchemy as sa

from agent.adapters.patience import until
from agent.domain.errors import StoreError

if TYPE_CHECKING:
    from agent.adapters.postgres import PatientConnection

_CHANNEL = "oncall_agent"

#: How often a process on SQLite looks whether another one has written: it costs some 10 µs.
_LOOK_EVERY_S = 0.025

_PATIENCE_S = 2.0


class Bell(Protocol):
    """Rung by one process, heard by the others."""

    def ring(self) -> None:
        """Say that there is something to look at; may be lost."""
        ...

    def heard(self, timeout_s: float) -> bool:
        """Wait until it rings; False if it did not. Raises StoreError when nothing can be heard now."""
        ...

    def close(self) -> None:
        """Hear and say no more."""
        ...


def bell_of(url: str) -> Bell:
    """The bell of everybody who works on this database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return FileBell(Path(parsed.database or ""))
    return ServerBell(url)


class FileBell:
    """Implements Bell by looking at the database file: what is new rings by itself."""

    #: What a worker has to look at at once: webhooks, answers of humans, calls to runs that wait.
    _NEWEST = (
        "SELECT (SELECT max(rowid) FROM deliveries), (SELECT max(rowid) FROM decisions), "
        "(SELECT max(rowid) FROM run_wakes)"
    )

    def __init__(self, database: Path) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._newest: object = None

    def ring(self) -> None:
        """Nothing to do: the commit is the ringing."""

    def heard(self, timeout_s: float) -> bool:
        """Look again and again, until there is something new."""
        until = time.monotonic() + timeout_s
        try:
            while not self._rang():
                if time.monotonic() >= until:
                    return False
                time.sleep(_LOOK_EVERY_S)
        except sqlite3.Error as error:
            self.close()
            raise StoreError(f"the database cannot be read: {error}") from error
        return True

    def _rang(self) -> bool:
        if self._connection is None:
            self._connection = sqlite3.connect(self._database, check_same_thread=False)
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version, before = version, self._newest
        self._newest = self._connection.execute(self._NEWEST).fetchone()
        return self._newest != before

    def close(self) -> None:
        """Hear no more."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ServerBell:
    """Implements Bell with LISTEN and NOTIFY, a connection for each: they are used by different threads."""

    def __init__(self, url: str) -> None:
        self._listening = _Line(url, f"LISTEN {_CHANNEL}")
        # a notification lost in a power cut is no loss: everybody looks every second anyway
        self._ringing = _Line(url, "SET synchronous_commit = off")
        self._rung = threading.Event()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def ring(self) -> None:
        """Say so from a thread of its own: who stored something does not wait for it."""
        with self._mutex:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._ring_on, name="bell", daemon=True)
                self._thread.start()
        self._rung.set()

    def _ring_on(self) -> None:
        while self._rung.wait() and not self._is_closed:
            self._rung.clear()
            with contextlib.suppress(StoreError), self._ringing.talking() as connection:
                connection.execute(f"NOTIFY {_CHANNEL}")

    def heard(self, timeout_s: float) -> bool:
        """Wait for a notification; several that came together are heard as one."""
        was_listening = self._listening.is_open
        with self._listening.talking() as connection:
            # whatever rang while nobody listened
            if not was_listening:
                return True
            return any(True for _ in connection.notifies(timeout=timeout_s, stop_after=1))

    def close(self) -> None:
        """Hear and say no more."""
        with self._mutex:
            self._is_closed = True
        self._rung.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _PATIENCE_S)
        self._listening.close()
        self._ringing.close()


class _Line:
    """A connection that is opened when it is needed, and again after it broke."""

    def __init__(self, url: str, first_words: LiteralString) -> None:
        self._url = url
        self._first_words = first_words
        self._connection: PatientConnection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @contextlib.contextmanager
    def talking(self) -> Iterator[PatientConnection]:
        import psycopg

        from agent.adapters import postgres  # its driver is an extra that SQLite does without

        try:
            with until(time.monotonic() + _PATIENCE_S):
                if self._connection is None:
                    self._connection = postgres.connect(self._url)
                    self._connection.execute(self._first_words)
                yield self._connection
        except psycopg.Error as error:
            self.close()
            raise StoreError(f"the database cannot be reached: {error}") from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
