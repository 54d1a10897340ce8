"""Named locks that at most one process holds: flock beside SQLite, advisory locks in PostgreSQL.

They end with the process, however it ends. On PostgreSQL they live as long as one kept connection: when
that is lost all of them are, and whoever held them must ask for them again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa

from agent.adapters.patience import until
from agent.domain.errors import StoreError

if TYPE_CHECKING:
    from agent.adapters.postgres import PatientConnection

#: Who asks about a lock does not wait longer for the server: it is asked again soon.
_PATIENCE_S = 2.0


class Locks(Protocol):
    """The locks of one process; safe for several threads."""

    def take(self, name: str) -> bool:
        """Whether it is ours now (or was already). Raises StoreError when nobody can tell."""
        ...

    def holds(self, name: str) -> bool:
        """Whether it is ours, as far as we know."""
        ...

    def is_free(self, name: str) -> bool:
        """Whether nobody holds it; takes nothing. Raises StoreError when nobody can tell."""
        ...

    def give_back(self, name: str) -> None:
        """Let another process have it."""
        ...

    def keep(self) -> bool:
        """Look whether we still have what we hold; False: it is all lost."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


def locks_of(url: str) -> Locks:
    """Locks for every process that works on this database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return FileLocks(Path(parsed.database or ""))
    return ServerLocks(url)


class FileLocks:
    """Implements Locks with one file for each name, beside the database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._files: dict[str, int] = {}
        self._mutex = threading.Lock()

    def take(self, name: str) -> bool:
        """Whether it is ours now."""
        with self._mutex:
            if name in self._files:
                return True
            file = self._locked(name)
            if file is None:
                return False
            self._files[name] = file
            return True

    def holds(self, name: str) -> bool:
        """Whether it is ours: nothing but ourselves can end that."""
        return name in self._files

    def is_free(self, name: str) -> bool:
        """Whether nobody holds it."""
        with self._mutex:
            if name in self._files:
                return False
            file = self._locked(name)
            if file is None:
                return False
            os.close(file)
            return True

    def give_back(self, name: str) -> None:
        """Let another process have it."""
        with self._mutex:
            file = self._files.pop(name, None)
            if file is not None:
                os.close(file)

    def keep(self) -> bool:
        """The kernel keeps them for us."""
        return True

    def close(self) -> None:
        """Give everything back."""
        for name in list(self._files):
            self.give_back(name)

    def path(self, name: str) -> Path:
        """The file that stands for the name."""
        return self._database.with_name(f"{self._database.stem}.{quote(name, safe='')}.lock")

    def _locked(self, name: str) -> int | None:
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the lock {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        return file


class ServerLocks:
    """Implements Locks with session-level advisory locks on one kept connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: PatientConnection | None = None
        self._held: set[str] = set()
        self._mutex = threading.Lock()

    def take(self, name: str) -> bool:
        """Whether it is ours now."""
        with self._mutex:
            if name in self._held:
                return True
            taken = bool(self._ask("SELECT pg_try_advisory_lock(%s)", _key(name)))
            if taken:
                self._held.add(name)
            return taken

    def holds(self, name: str) -> bool:
        """Whether it is ours, as of the last look."""
        return name in self._held

    def is_free(self, name: str) -> bool:
        """Whether nobody holds it."""
        high, low = divmod(_key(name) % 2**64, 2**32)
        with self._mutex:
            return not self._ask(_IS_HELD, high, low)

    def give_back(self, name: str) -> None:
        """Let another process have it."""
        with self._mutex:
            if name in self._held:
                self._held.discard(name)
                with contextlib.suppress(StoreError):  # the server has taken it back by itself
                    self._ask("SELECT pg_advisory_unlock(%s)", _key(name))

    def keep(self) -> bool:
        """Ask the server: as long as it knows our session it knows our locks."""
        with self._mutex:
            if self._connection is None:
                return False
            try:
                self._ask("SELECT 1")
            except StoreError:
                return False
            return True

    def close(self) -> None:
        """Give everything back."""
        with self._mutex:
            self._forget()

    def _forget(self) -> None:
        self._held.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, query: str, *arguments: object) -> Any:
        import psycopg

        from agent.adapters import postgres  # its driver is an extra that SQLite does without

        try:
            with until(time.monotonic() + _PATIENCE_S):
                if self._connection is None:
                    self._connection = postgres.connect(self._url)
                row = self._connection.execute(query, arguments).fetchone()
        except psycopg.Error as error:
            self._forget()
            raise StoreError(f"the database cannot be reached: {error}") from error
        return row[0] if row else None


#: A lock of one number is kept as its two halves (manual, "pg_locks").
_IS_HELD = """
SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 AND classid = %s AND objid = %s
"""


def _key(name: str) -> int:
    """The number that stands for a name: the same in every version of ours."""
    digest = hashlib.blake2b(f"oncall-agent/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
