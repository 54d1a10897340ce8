"""Figures over many incidents, counted by the database: a hundred thousand take less than a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import Database, moment, stamp
from agent.adapters.store_schema import counters, incidents, is_one_of
from agent.adapters.store_schema_queue import escalations
from agent.domain.decisions import EscalationTrigger
from agent.domain.incident import MANUAL_SOURCE
from agent.reports.measures import Means, means
from agent.reports.statistics import LEAST_FOR_A_RUNBOOK, Counted, Ends, RunbookRecord, Statistics, Wanted

_ENDS = ("resolved", "escalated", "stood_down")

#: Names that are shown of each kind.
_MOST = 10

#: Escalations that a runbook, or a better one, would have answered.
_WANTS_A_RUNBOOK = (EscalationTrigger.NO_MATCH.value, EscalationTrigger.AMBIGUOUS.value)


class StoredStatistics:
    """Read models over a period; nothing here decides."""

    database: Database

    def statistics(self, since: datetime, until: datetime) -> Statistics:
        """How incidents ended that ended in the period, and what called for humans."""
        with self.database.reading() as connection:
            counted = _counted(connection, since, until, self._seconds())
            return Statistics(
                since,
                until,
                days=_days(counted),
                runbooks=_runbooks(counted)[:_MOST],
                services=_services(connection, since, until),
                hours=_hours(connection, since, until),
                wanted=_wanted(connection, since, until),
                means=_means(connection, since, until),
            )

    def ends(self, since: datetime, until: datetime) -> Sequence[Ends]:
        """How incidents ended, by day; days on which none did are left out."""
        with self.database.reading() as connection:
            return _days(_counted(connection, since, until, self._seconds()))

    def runbook_records(self, since: datetime, until: datetime) -> Mapping[str, RunbookRecord]:
        """How each runbook did, by its id."""
        with self.database.reading() as connection:
            found = _runbooks(_counted(connection, since, until, self._seconds()))
        return {each.runbook: each for each in found}

    def _seconds(self) -> sa.ColumnElement[float]:
        """How long an incident took; the two databases spell it differently."""
        begun, ended = incidents.c.received_at, incidents.c.ended_at
        if self.database.is_sqlite:
            return (sa.func.julianday(ended) - sa.func.julianday(begun)) * 86_400.0
        span = sa.cast(ended, sa.DateTime(timezone=True)) - sa.cast(begun, sa.DateTime(timezone=True))
        return sa.cast(sa.extract("epoch", span), sa.Float)


def _ended_in(since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        incidents.c.ended_at >= stamp(since),
        incidents.c.ended_at < stamp(until),
        # a status alone names most of the table: SQLite is to look by time, so it is given no index for it
        is_one_of(incidents.c.status.concat(""), _ENDS),
        incidents.c.source != MANUAL_SOURCE,
    )


def _count_of(status: str) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((incidents.c.status == sa.literal_column(f"'{status}'"), 1), else_=0))


def _counted(
    connection: sa.Connection, since: datetime, until: datetime, seconds: sa.ColumnElement[float]
) -> Sequence[sa.Row[Any]]:
    """One walk over the incidents, by day and runbook: what both are made of."""
    day = sa.func.substr(incidents.c.ended_at, 1, 10).label("day")
    resolved_s = sa.case((incidents.c.status == sa.literal_column("'resolved'"), seconds))
    query = (
        sa.select(
            day,
            incidents.c.runbook_id,
            *(_count_of(status).label(status) for status in _ENDS),
            sa.func.sum(resolved_s).label("resolved_s"),
        )
        .where(_ended_in(since, until))
        .group_by(day, incidents.c.runbook_id)
    )
    return connection.execute(query).all()


def _means(connection: sa.Connection, since: datetime, until: datetime) -> Means:
    """From totals by day that the meter keeps: two numbers a day for each of three times."""
    query = sa.select(counters.c.name, counters.c.value).where(counters.c.name.startswith("kpi/"))
    kept = {name.removeprefix("kpi/"): value for name, value in connection.execute(query)}
    return means(kept, since.date(), until.date())


def _days(rows: Sequence[sa.Row[Any]]) -> tuple[Ends, ...]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row.day, Counter()).update({name: getattr(row, name) for name in _ENDS})
    return tuple(Ends(date.fromisoformat(day), **found[day]) for day in sorted(found))


def _runbooks(rows: Sequence[sa.Row[Any]]) -> tuple[RunbookRecord, ...]:
    """The busiest first."""
    found: dict[str, Counter[str]] = {}
    took_s: dict[str, float] = {}
    for row in rows:
        if row.runbook_id:
            found.setdefault(row.runbook_id, Counter()).update({name: getattr(row, name) for name in _ENDS})
            took_s[row.runbook_id] = took_s.get(row.runbook_id, 0.0) + float(row.resolved_s or 0.0)
    records = (
        RunbookRecord(
            runbook,
            **ends,
            mean_s=took_s[runbook] / ends["resolved"] if ends["resolved"] else None,
        )
        for runbook, ends in found.items()
    )
    return tuple(sorted(records, key=lambda each: (-each.total, each.runbook)))


def _escalated_in(since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(escalations.c.created_at >= stamp(since), escalations.c.created_at < stamp(until))


def _services(connection: sa.Connection, since: datetime, until: datetime) -> tuple[Counted, ...]:
    """Those whose alerts called a human most often."""
    count = sa.func.count().label("many")
    query = (
        sa.select(incidents.c.service, count)
        .where(
            _ended_in(since, until),
            incidents.c.status == sa.literal_column("'escalated'"),
            incidents.c.service != "",
        )
        .group_by(incidents.c.service)
        .order_by(count.desc(), incidents.c.service)
        .limit(_MOST)
    )
    return tuple(Counted(service, many) for service, many in connection.execute(query))


def _hours(connection: sa.Connection, since: datetime, until: datetime) -> Mapping[tuple[int, int], int]:
    """Alerts by weekday and hour: counted by day and hour, which both databases can, and added up here."""
    hour = sa.func.substr(incidents.c.received_at, 1, 13).label("hour")
    query = (
        sa.select(hour, sa.func.count())
        .where(incidents.c.received_at >= stamp(since), incidents.c.received_at < stamp(until))
        .group_by(hour)
    )
    return _by_weekday([(text, many) for text, many in connection.execute(query)])


def _by_weekday(found: Sequence[tuple[str, int]]) -> Mapping[tuple[int, int], int]:
    total: dict[tuple[int, int], int] = {}
    for text, many in found:
        key = (date.fromisoformat(text[:10]).weekday(), int(text[11:13]))
        total[key] = total.get(key, 0) + many
    return total


def _wanted(connection: sa.Connection, since: datetime, until: datetime) -> tuple[Wanted, ...]:
    """What came back again and again and no runbook answered."""
    count = sa.func.count().label("many")
    query = (
        sa.select(
            sa.func.max(incidents.c.title).label("title"),
            sa.func.max(incidents.c.service).label("service"),
            count,
            sa.func.max(incidents.c.received_at).label("last_at"),
        )
        .join(escalations, escalations.c.incident_id == incidents.c.id)
        .where(_escalated_in(since, until), is_one_of(escalations.c.trigger, _WANTS_A_RUNBOOK))
        .group_by(incidents.c.identity)
        .having(count >= LEAST_FOR_A_RUNBOOK)
        .order_by(count.desc(), sa.func.max(incidents.c.received_at).desc())
        .limit(_MOST)
    )
    return tuple(
        Wanted(row.title, row.service, row.many, moment(row.last_at)) for row in connection.execute(query)
    )
