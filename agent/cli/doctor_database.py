"""`doctor` on the database, and on who works on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.domain.errors import AgentError
from agent.domain.executor import Executor

#: A process says every few seconds that it is there.
_SILENT = timedelta(seconds=30)


def database_checks(config: Config) -> Iterator[Check]:
    """Whether it can be used, and every process that is said to work on it."""
    try:
        store = Store(config.database.url, SystemClock())
        store.migrate()
        count = sum(store.counts_by_status().values())
        encoding = _encoding(store)
        there = [each for each in store.executors() if each.left_at is None]
        store.close()
    except AgentError as error:
        yield Check("database", Grade.BAD, str(error), "check database.url")
        return
    yield Check("database", Grade.OK, f"tables are up to date, {count} incidents")
    if encoding != "UTF8":
        fix = "make it anew with ENCODING 'UTF8'"
        yield Check("database", Grade.BAD, f"its encoding is {encoding}: it cannot keep every alert", fix)
    now = SystemClock().now()
    yield from (_process(each, now) for each in there)


def _encoding(store: Store) -> str:
    if store.database.is_sqlite:
        return "UTF8"
    with store.database.reading() as connection:
        return str(connection.execute(sa.text("SHOW server_encoding")).scalar())


def _process(executor: Executor, now: datetime) -> Check:
    silent = now - executor.seen_at
    seen = f"{executor.role.value} on {executor.host}, version {executor.version}"
    if executor.taken_by:
        seen = f"{seen}; it died, and {executor.taken_by} took its work over"
        return Check(
            executor.executor_id, Grade.NOTE, seen, "start it again, if it is not coming back by itself"
        )
    if silent > _SILENT:
        seen = f"{seen}; not seen for {silent.total_seconds():.0f} s"
        return Check(executor.executor_id, Grade.NOTE, seen, "start it again, if it is missed")
    return Check(executor.executor_id, Grade.OK, f"{seen}, seen {max(silent.total_seconds(), 0):.0f} s ago")
