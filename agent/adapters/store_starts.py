"""Whose turn it is: incidents are started oldest first, fairly between services, never too many at once.

It is decided and written down in one transaction, one process at a time, so that it holds for replicas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_runs import (
    IS_DUE,
    StoredRuns,
    put_first_leg,
    put_next_leg,
    put_to_rest,
    take_wake,
)
from agent.adapters.store_schema import (
    TERMINAL,
    decisions,
    deliveries,
    incidents,
    is_one_of,
    runs,
    says,
    turns,
)
from agent.domain.incident import Status
from agent.domain.runs import Agenda, Leg, Places

#: Serialises starts on PostgreSQL; SQLite has one writer anyway.
_START_LOCK = 4_017_003


class StoredStarts(StoredRuns):
    """What the dispatcher asks of the store."""

    def agenda(self) -> Agenda:
        """What there is to do, in one cheap look."""
        with self.database.reading() as connection:
            (row,) = _AGENDA.all(connection, {"now_": stamp(self.clock.now())})
        return Agenda(*map(bool, row))

    def claim(self, places: Places, executor_id: str) -> Sequence[Leg]:
        """Legs of incidents whose turn it is: ours, once it returns.

        New ones, and those that were parked until it is their turn.
        """
        line = self._in_line(places)
        if not line:
            return []
        with self._starting() as connection:
            busy = _busy(connection)
            return [
                leg
                for each in line
                if _has_place(places, busy, each.service)
                if (leg := self._start(connection, each, executor_id, busy)) is not None
            ]

    def _in_line(self, places: Places) -> Sequence[Any]:
        """Those whose turn it seems to be; it is settled under the lock."""
        with self.database.reading() as connection:
            free = places.at_once - sum(_busy(connection).values())
            if free <= 0:
                return []
            return _LINE[places.one_per_service].all(connection, {"free_": free})

    def _start(
        self, connection: sa.Connection, each: Any, executor_id: str, busy: dict[str, int]
    ) -> Leg | None:
        leg = Leg(each.id, each.leg)  # leg 0 is none yet
        if leg.number:
            begun = put_next_leg(connection, leg, executor_id, has_turn=True)
        else:
            values = {"id_": each.id, "now_": stamp(self.clock.now())}
            begun = _START.first(connection, values) is not None
            begun = begun and put_first_leg(connection, each.id, executor_id)
        if not begun:
            return None
        self._took_turn(connection, each.service, busy)
        return leg.next

    def _took_turn(self, connection: sa.Connection, service: str, busy: dict[str, int]) -> None:
        busy[service] = busy.get(service, 0) + 1
        if service:
            now = stamp(self.clock.now())
            self.database.upsert(connection, turns, {"service": service, "at": now})

    def take_turn(self, leg: Leg, topic: str, places: Places, *, woken: Mapping[str, str]) -> bool | None:
        """True: it is its turn. None: parked, until it is or it is woken. False: it was woken before."""
        with self._starting() as connection:
            run = _RUN.first(connection, {"id_": leg.incident_id})
            if run is None or run.active:
                return True
            if take_wake(connection, leg, topic, woken):
                return False
            busy = _busy(connection)
            if not _has_place(places, busy, run.service):
                put_to_rest(connection, leg, topic, until=None, wants_turn=True)
                return None
            _ACTIVATE.run(connection, {"id_": leg.incident_id})
            self._took_turn(connection, run.service, busy)
            return True

    @contextmanager
    def _starting(self) -> Iterator[sa.Connection]:
        with self.database.writing() as connection:
            if not self.database.is_sqlite:
                connection.execute(_TAKE_START_LOCK)
            yield connection


def _busy(connection: sa.Connection) -> dict[str, int]:
    """How many incidents of each service are at work."""
    return {row.service: row.at_work for row in _BUSY.all(connection, {})}


def _has_place(places: Places, busy: Mapping[str, int], service: str) -> bool:
    if sum(busy.values()) >= places.at_once:
        return False
    return not (places.one_per_service and service and busy.get(service))


_TAKE_START_LOCK = sa.select(sa.func.pg_advisory_xact_lock(_START_LOCK))

_ID: sa.BindParameter[str] = sa.bindparam("id_", type_=sa.Text)

_AT_WORK = (
    sa.select(incidents.c.service, sa.func.count().label("at_work"))
    .join(runs, runs.c.incident_id == incidents.c.id)
    .where(runs.c.active)
    .group_by(incidents.c.service)
)
_BUSY = Prepared(_AT_WORK)

_IS_NEW = sa.and_(
    ~is_one_of(incidents.c.status, TERMINAL),
    says(incidents.c.status, Status.RECEIVED.value),
    incidents.c.started_at.is_(None),
)

_START = Prepared(
    incidents.update()
    .where(incidents.c.id == _ID, _IS_NEW)
    .values(started_at=sa.bindparam("now_", type_=sa.Text))
    .returning(incidents.c.id)
)

_RUN = Prepared(
    sa.select(runs.c.active, sa.func.coalesce(incidents.c.service, "").label("service"))
    .select_from(runs.outerjoin(incidents, incidents.c.id == runs.c.incident_id))
    .where(runs.c.incident_id == _ID)
)

_ACTIVATE = Prepared(runs.update().where(runs.c.incident_id == _ID).values(active=True))


def _line(*, one_per_service: bool) -> sa.Select[Any]:
    """Who is next: the fewer of its service before it, the earlier; then whose service waited longest.

    An incident of no known service stands for itself.
    """
    columns = incidents.c.id, incidents.c.service, incidents.c.received_at
    new = sa.select(*columns, sa.literal_column("0").label("leg")).where(_IS_NEW)
    rested = (
        sa.select(*columns, runs.c.leg)
        .join(runs, runs.c.incident_id == incidents.c.id)
        .where(runs.c.wants_turn)
    )
    waiting = sa.union_all(new, rested).subquery("waiting")
    busy = _AT_WORK.where(incidents.c.service != "").subquery("busy")
    of_service = waiting.outerjoin(busy, busy.c.service == waiting.c.service)
    whose = sa.case((waiting.c.service == "", waiting.c.id), else_=waiting.c.service)
    nth = sa.func.row_number().over(partition_by=whose, order_by=(waiting.c.received_at, waiting.c.id))
    place = (nth + sa.func.coalesce(busy.c.at_work, 0)).label("place")
    placed = sa.select(waiting, place).select_from(of_service)
    if one_per_service:
        placed = placed.where(busy.c.at_work.is_(None))
    line = placed.subquery("line")
    last_turn = sa.func.coalesce(turns.c.at, "")
    query = (
        sa.select(line)
        .select_from(line.outerjoin(turns, turns.c.service == line.c.service))
        .order_by(line.c.place, last_turn, line.c.received_at, line.c.id)
    )
    if one_per_service:
        query = query.where(line.c.place == 1)
    return query.limit(sa.bindparam("free_", type_=sa.Integer))


_LINE = {one: Prepared(_line(one_per_service=one)) for one in (True, False)}

_AGENDA = Prepared(
    sa.select(
        sa.exists().where(deliveries.c.handled_at.is_(None)).label("events"),
        sa.exists().where(decisions.c.told_at.is_(None)).label("decisions"),
        IS_DUE.label("waits"),
        sa.or_(sa.exists().where(_IS_NEW), sa.exists().where(runs.c.wants_turn)).label("starts"),
    )
)
