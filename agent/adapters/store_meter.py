"""How far the timeline has been counted, written in one transaction with what it adds: none counts twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from agent.adapters import codec
from agent.adapters.database import Database, moment, stamp
from agent.adapters.store_schema import charges, counters, incidents, is_one_of, says
from agent.adapters.store_schema_queue import OPEN, escalations
from agent.domain.alert import Alert
from agent.domain.limits import Scope, WindowLimit

_CURSOR = "meter/seq"


class StoredMeter:
    """What the metrics need beside the totals: the cursor, and what stands now, each by an index."""

    database: Database

    def metered(self) -> int:
        """The number of the last entry that was counted."""
        query = sa.select(counters.c.value).where(counters.c.name == _CURSOR)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar() or 0)

    def meter(self, before: int, after: int, amounts: Mapping[str, float]) -> bool:
        """Add to totals what the entries up to `after` say; False if somebody else has counted them."""
        dialect = sqlite if self.database.is_sqlite else postgresql
        insert = dialect.insert(counters)
        more = {"value": counters.c.value + insert.excluded.value}
        add = insert.on_conflict_do_update(index_elements=["name"], set_=more)
        begin = insert.on_conflict_do_nothing(index_elements=["name"])
        rows = [{"name": name, "value": amount} for name, amount in sorted(amounts.items())]
        with self.database.writing() as connection:
            connection.execute(begin, [{"name": _CURSOR, "value": 0.0}])
            moved = connection.execute(
                counters.update()
                .where(counters.c.name == _CURSOR, counters.c.value == float(before))
                .values(value=float(after))
                .returning(counters.c.name)
            ).first()
            if moved is None:
                return False
            if rows:
                connection.execute(add, rows)
            return True

    def begun(self, incident_ids: Sequence[str]) -> Mapping[str, tuple[datetime, datetime | None, str]]:
        """When each incident was received, when it had fired at its source, and that source."""
        query = sa.select(incidents.c.id, incidents.c.received_at, incidents.c.alert, incidents.c.source)
        with self.database.reading() as connection:
            rows = connection.execute(query.where(incidents.c.id.in_(sorted(set(incident_ids)))))
            return {
                row.id: (moment(row.received_at), codec.load(row.alert, Alert).fired_at, row.source)
                for row in rows
            }

    def queue_depth(self) -> Mapping[tuple[str, str], int]:
        """How many escalations wait, by status and rank."""
        query = (
            sa.select(escalations.c.status, escalations.c.rank, sa.func.count())
            .where(is_one_of(escalations.c.status, OPEN))
            .group_by(escalations.c.status, escalations.c.rank)
        )
        with self.database.reading() as connection:
            return {(status, rank): many for status, rank, many in connection.execute(query)}

    def approvals_waiting(self) -> tuple[int, datetime | None]:
        """How many plans wait for a yes, and since when the longest."""
        query = sa.select(sa.func.count(), sa.func.min(incidents.c.status_at)).where(
            says(incidents.c.status, "awaiting_approval")
        )
        with self.database.reading() as connection:
            many, since = connection.execute(query).one()
            return many, moment(since) if since else None

    def budget_used(self, windows: Sequence[WindowLimit], now: datetime) -> Mapping[str, int]:
        """What was taken of each limit over all incidents within its window, by the limit's key."""
        with self.database.reading() as connection:
            return {each.key: _used(connection, each, now) for each in windows if each.scope is Scope.ALL}


def _used(connection: sa.Connection, window: WindowLimit, now: datetime) -> int:
    since = stamp(now - timedelta(seconds=window.window_s))
    query: sa.Select[Any] = sa.select(sa.func.coalesce(sa.func.sum(charges.c.count), 0)).where(
        charges.c.effect_class == window.effect_class.value, charges.c.at > since
    )
    return int(connection.execute(query).scalar_one())
