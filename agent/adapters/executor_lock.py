"""One process per executor id: what DBOS does not see to, and a step would run twice without."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import sqlalchemy as sa

from agent.domain.errors import ExecutorBusyError, StoreError


class ExecutorLock:
    """Held for as long as the process lives: flock beside SQLite, an advisory lock in PostgreSQL."""

    def __init__(self, url: str, executor_id: str) -> None:
        self._file: int | None = None
        self._connection: sa.Connection | None = None
        if url.startswith("sqlite"):
            self._lock_file(Path(sa.make_url(url).database or ""), executor_id)
        else:
            self._lock_server(url, executor_id)

    def _lock_file(self, database: Path, executor_id: str) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        path = database.with_name(f"{database.stem}.{executor_id}.lock")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            self._file = None
            raise ExecutorBusyError(_busy(executor_id, str(path))) from None

    def _lock_server(self, url: str, executor_id: str) -> None:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        try:
            self._connection = engine.connect()
        except sa.exc.OperationalError as error:
            raise StoreError(f"the database cannot be reached: {error.orig}") from error
        taken = self._connection.execute(
            sa.text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": f"oncall-agent/{executor_id}"}
        ).scalar()
        self._connection.commit()
        if not taken:
            self._connection.close()
            raise ExecutorBusyError(_busy(executor_id, "the database"))

    def release(self) -> None:
        """Let another process have the id."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _busy(executor_id: str, where: str) -> str:
    return (
        f"another process already works as executor {executor_id!r} on {where}; stop it first, "
        "or give this one its own executor id"
    )
