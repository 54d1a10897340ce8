"""The kill switch as rows: each stop with its own story in the timeline, under its own id."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import moment, moment_or_none, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.stop_files import StopFiles
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema import incidents, stops
from agent.domain.incident import Entry
from agent.domain.outbox import Message
from agent.domain.stops import Stop, StopScope


class StoredStops(StoredIncidents):
    """Implements ports.StopStore; writes its entries and letters as incidents do."""

    def stops(self) -> Sequence[Stop]:
        """Those in force, oldest first; cheap, it is asked before everything that starts."""
        with self.database.reading() as connection:
            found = [_stop(row) for row in _IN_FORCE.all(connection, {})]
        known = {stop.id for stop in found}
        return found + [stop for stop in self.set_aside() if stop.id not in known]

    def all_stops(self, *, limit: int = 100) -> Sequence[Stop]:
        """Those that were lifted too, newest first."""
        return self._stops(sa.select(stops).order_by(stops.c.at.desc(), stops.c.id).limit(limit))

    def stop_of(self, stop_id: str) -> Stop | None:
        """One stop by its id."""
        aside = (stop for stop in self.set_aside() if stop.id == stop_id)
        return next(iter(self._stops(sa.select(stops).where(stops.c.id == stop_id))), None) or next(
            aside, None
        )

    def put_stop(self, stop: Stop, entry: Entry, messages: Sequence[Message] = ()) -> Stop:
        """In force when it returns; what is in force with the same words by the same human is given instead.

        Put again to end what runs too, it does that from now on.
        """
        with self.database.chaining(within_s=_IN_A_HURRY_S) as connection:
            same = connection.execute(_same_as(stop)).first()
            if same is None:
                connection.execute(stops.insert().values(**_row(stop)))
                self.append(connection, stop.id, entry)
                self.post(connection, stop.id, messages)
                return stop
            if stop.ends_running and not same.ends_running:
                connection.execute(stops.update().where(stops.c.id == same.id).values(ends_running=True))
                more = Entry(f"{entry.key}-ends-running", entry.kind, entry.text, entry.data, entry.actor)
                self.append(connection, same.id, more)
            return _stop(connection.execute(sa.select(stops).where(stops.c.id == same.id)).one())

    def put_stop_aside(self, stop: Stop) -> None:
        """In force when it returns, although a process holds the database, or the chain, and hangs.

        Its entry and its letters follow when it is told.
        """
        files = _files_beside(self.database.url)
        if files is not None:
            files.add(stop)
            return
        with self.database.writing(within_s=_IN_A_HURRY_S) as connection:
            connection.execute(stops.insert().values(**_row(stop)))

    def set_aside(self) -> Sequence[Stop]:
        """Those in force that the database has not yet."""
        files = _files_beside(self.database.url)
        return files.read() if files is not None else ()

    def taken_over(self, stop: Stop) -> None:
        """The database has it now."""
        files = _files_beside(self.database.url)
        if files is not None:
            files.remove(stop.id)

    def lift_stop(self, stop_id: str, by: str, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """No longer in force when it returns; False if it was not in force."""
        with self.database.chaining() as connection:
            lifted = connection.execute(
                stops.update()
                .where(stops.c.id == stop_id, stops.c.lifted_at.is_(None))
                .values(lifted_at=stamp(self.clock.now()), lifted_by=by)
                .returning(stops.c.id)
            ).first()
            if lifted is None:
                return False
            self.append(connection, stop_id, entry)
            self.post(connection, stop_id, messages)
            return True

    def known_services(self) -> Sequence[str]:
        """The services of all incidents so far."""
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(incidents.c.service).distinct()).scalars())

    def untold_stops(self) -> Sequence[Stop]:
        """Those of whose beginning or end the incidents were not told yet."""
        lift_untold = sa.and_(stops.c.lifted_at.is_not(None), stops.c.lift_told_at.is_(None))
        untold = sa.or_(stops.c.told_at.is_(None), lift_untold)
        return self._stops(sa.select(stops).where(untold).order_by(stops.c.at))

    def stop_told(self, stop: Stop) -> None:
        """Every incident that it touches was told, of its end too if it is lifted."""
        now = stamp(self.clock.now())
        values = {"told_at": now} if stop.is_in_force else {"told_at": now, "lift_told_at": now}
        with self.database.writing() as connection:
            connection.execute(stops.update().where(stops.c.id == stop.id).values(**values))

    def _stops(self, query: sa.Select[Any]) -> Sequence[Stop]:
        with self.database.reading() as connection:
            return [_stop(row) for row in connection.execute(query)]


@cache
def _files_beside(url: str) -> StopFiles | None:
    """Only SQLite can be held by a process that hangs; PostgreSQL ends such a transaction by itself."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return StopFiles(Path(f"{parsed.database}.stops"))


#: A stop that cannot be put within this time is put aside.
_IN_A_HURRY_S = 1.5

_IN_FORCE = Prepared(sa.select(stops).where(stops.c.lifted_at.is_(None)).order_by(stops.c.at, stops.c.id))


def _same_as(stop: Stop) -> sa.Select[Any]:
    return sa.select(stops).where(
        stops.c.lifted_at.is_(None),
        stops.c.scope == stop.scope.value,
        stops.c.name == stop.name,
        stops.c.reason == stop.reason,
        stops.c.by == stop.by,
    )


def _row(stop: Stop) -> dict[str, Any]:
    return {
        "id": stop.id,
        "scope": stop.scope.value,
        "name": stop.name,
        "reason": stop.reason,
        "by": stop.by,
        "at": stamp(stop.at),
        "ends_running": stop.ends_running,
    }


def _stop(row: Any) -> Stop:
    return Stop(
        id=row.id,
        scope=StopScope(row.scope),
        name=row.name,
        reason=row.reason,
        by=row.by,
        at=moment(row.at),
        ends_running=bool(row.ends_running),
        lifted_at=moment_or_none(row.lifted_at),
        lifted_by=row.lifted_by,
    )
