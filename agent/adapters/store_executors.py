"""Who works on this database: written by each process about itself, and by who takes its work over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import Database, moment, moment_or_none, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_schema import attempts, executors, incidents, runs
from agent.domain.errors import TakenOverError
from agent.domain.executor import Executor, Role
from agent.domain.incident import MANUAL_SOURCE
from agent.ports import Clock


class StoredExecutors:
    """The processes of the agent, as they know of each other."""

    database: Database
    clock: Clock
    #: As whom this process begins attempts, and since when; "" is a command at a terminal.
    executor_id: str = ""
    working_since: str = ""

    def begin_work(self, executor_id: str, *, role: Role, host: str, version: str) -> None:
        """This process is there from now on; what was written about its predecessor is over."""
        now = stamp(self.clock.now())
        row = {"executor_id": executor_id, "role": role.value, "host": host, "version": version}
        fresh = {"started_at": now, "seen_at": now, "left_at": None, "taken_by": ""}
        with self.database.chaining() as connection:
            self.database.upsert(connection, executors, row | fresh)
        if role.works:
            self.executor_id, self.working_since = executor_id, now

    def seen_at_work(self, executor_id: str) -> None:
        """It is still there; TakenOverError if somebody took its work over meanwhile."""
        with self.database.writing() as connection:
            still_ours(connection, self.executor_id, self.working_since)
            connection.execute(
                executors.update()
                .where(executors.c.executor_id == executor_id)
                .values(seen_at=stamp(self.clock.now()))
            )

    def end_work(self, executor_id: str) -> None:
        """It leaves by itself: others need not wait to see whether it comes back."""
        with self.database.writing() as connection:
            connection.execute(
                executors.update()
                .where(executors.c.executor_id == executor_id)
                .values(left_at=stamp(self.clock.now()))
            )

    def executors(self) -> Sequence[Executor]:
        """Every process that was here lately."""
        query = sa.select(executors).order_by(executors.c.executor_id)
        with self.database.reading() as connection:
            return [_executor(row) for row in connection.execute(query)]

    def take_from(self, executor_id: str, *, by: str) -> None:
        """Its work is ours from now on: it begins nothing any more, although it may not know yet."""
        with self.database.chaining() as connection:
            connection.execute(
                executors.update().where(executors.c.executor_id == executor_id).values(taken_by=by)
            )

    def owners(self) -> Sequence[str]:
        """The executors in whose hands runs are that have not ended; parked ones are in nobody's."""
        query = sa.select(runs.c.executor_id).where(runs.c.topic == "", runs.c.executor_id != "").distinct()
        with self.database.reading() as connection:
            return [row.executor_id for row in connection.execute(query)]

    def forget_executors(self, *, older_than: timedelta) -> None:
        """Nobody needs to know any longer who was here then."""
        before = stamp(self.clock.now() - older_than)
        with self.database.writing() as connection:
            connection.execute(executors.delete().where(executors.c.seen_at < before))

    def markers_of(self, executor_ids: Sequence[str]) -> Sequence[str]:
        """Markers of attempts that these executors began and did not end; a run by hand is left alone."""
        query = (
            sa.select(attempts.c.marker)
            .join(incidents, incidents.c.id == attempts.c.incident_id)
            .where(
                attempts.c.ended_at.is_(None),
                attempts.c.executor.in_(executor_ids),
                incidents.c.source != MANUAL_SOURCE,
            )
        )
        with self.database.reading() as connection:
            return [row.marker for row in connection.execute(query)]


def still_ours(connection: sa.Connection, executor_id: str, since: str) -> None:
    """Nothing begins once our work is in other hands, however late we hear of it."""
    if not executor_id:
        return
    if _OURS.first(connection, {"id_": executor_id, "since_": since}) is None:
        raise TakenOverError(
            f"the work of executor {executor_id!r} was taken over by another process; this one ends"
        )


_OURS = Prepared(
    sa.select(executors.c.executor_id).where(
        executors.c.executor_id == sa.bindparam("id_", type_=sa.Text),
        executors.c.started_at == sa.bindparam("since_", type_=sa.Text),
        executors.c.taken_by == "",
    )
)


def _executor(row: Any) -> Executor:
    return Executor(
        executor_id=row.executor_id,
        role=Role(row.role),
        host=row.host,
        version=row.version,
        started_at=moment(row.started_at),
        seen_at=moment(row.seen_at),
        left_at=moment_or_none(row.left_at),
        taken_by=row.taken_by,
    )
