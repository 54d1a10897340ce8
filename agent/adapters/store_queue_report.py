"""The queue's figures, added up where they are: a period of 100,000 escalations takes well under a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import Database, stamp
from agent.adapters.store_schema_queue import escalations
from agent.domain.queue import Origin, Rank
from agent.reports.sla import Cause, Day, Reviewer, SlaReport, Tally

#: A period this long is most of what there is.
_SCANNED_FROM = timedelta(days=60)

#: Of each list so many are shown.
_TOP = 20

_COUNT = sa.func.count()
_KEPT = sa.func.sum(sa.case((escalations.c.was_kept.is_(sa.true()), 1), else_=0))

_IN_TIME = escalations.c.acknowledged_at < escalations.c.respond_by


class StoredQueueReport:
    """One read model; nothing here decides."""

    database: Database

    def queue_report(self, since: datetime, until: datetime, *, origin: Origin | None = None) -> SlaReport:
        """Escalations that were made in the period, as they stand now; of one origin, or all."""
        at: sa.ColumnElement[str] = escalations.c.created_at
        if until - since > _SCANNED_FROM:
            at = at.concat("")  # no index: row by row through one it takes twice as long as reading them all
        made = sa.and_(at >= stamp(since), at < stamp(until))
        if origin is not None:
            made = sa.and_(made, escalations.c.origin == origin.value)
        with self.database.reading() as connection:
            return SlaReport(
                since,
                until,
                _days(connection, made, now=stamp(until)),
                _causes(connection, made),
                _reviewers(connection, made),
                _consumers(connection, made),
                _hours(connection, made),
            )


def _days(connection: sa.Connection, made: sa.ColumnElement[bool], *, now: str) -> Sequence[Day]:
    day = sa.func.substr(escalations.c.created_at, 1, 10).label("day")
    overdue = sa.and_(escalations.c.settled_at.is_(None), escalations.c.deadline < now)
    broken = sa.or_(
        escalations.c.was_kept.is_(sa.false()),
        sa.and_(escalations.c.was_kept.is_(None), escalations.c.breached_at.is_not(None)),
        sa.and_(overdue, escalations.c.next_at.is_not(None)),
    )
    columns = (
        day,
        escalations.c.rank,
        _COUNT.label("made"),
        sa.func.count(escalations.c.settled_at).label("settled"),
        _KEPT.label("kept"),
        sa.func.sum(sa.case((broken, 1), else_=0)).label("broken"),
        sa.func.count(escalations.c.ack_s).label("acknowledged"),
        sa.func.coalesce(sa.func.sum(escalations.c.ack_s), 0.0).label("ack_s"),
        sa.func.count(escalations.c.settle_s).label("timed"),
        sa.func.coalesce(sa.func.sum(escalations.c.settle_s), 0.0).label("settle_s"),
        sa.func.sum(sa.case((_IN_TIME, 1), else_=0)).label("answered"),
        sa.func.sum(sa.case((_late(now), 1), else_=0)).label("unanswered"),
    )
    query = sa.select(*columns).where(made).group_by(day, escalations.c.rank)
    return [_day(row) for row in connection.execute(query)]


def _late(now: str) -> sa.ColumnElement[bool]:
    """Somebody began to look after the time for it, or nobody has and it is over."""
    began = sa.func.coalesce(escalations.c.acknowledged_at, now)
    return sa.and_(escalations.c.respond_by.is_not(None), began >= escalations.c.respond_by)


def _day(row: Any) -> Day:
    tally = Tally(
        made=int(row.made),
        settled=int(row.settled),
        kept=int(row.kept),
        broken=int(row.broken),
        acknowledged=int(row.acknowledged),
        ack_s=float(row.ack_s),
        timed=int(row.timed),
        settle_s=float(row.settle_s),
        answered=int(row.answered),
        unanswered=int(row.unanswered),
    )
    return Day(date.fromisoformat(row.day), Rank(row.rank), tally)


def _causes(connection: sa.Connection, made: sa.ColumnElement[bool]) -> Sequence[Cause]:
    what = sa.func.coalesce(sa.func.nullif(escalations.c.policy_rule, ""), escalations.c.trigger).label(
        "what"
    )
    query = (
        sa.select(what, escalations.c.action, _COUNT.label("made"))
        .where(made)
        .group_by(what, escalations.c.action)
    )
    counts: dict[str, dict[str, int]] = {}
    for row in connection.execute(query):
        counts.setdefault(row.what, {})[row.action] = int(row.made)
    causes = [
        Cause(name, sum(actions.values()), {action: count for action, count in actions.items() if action})
        for name, actions in counts.items()
    ]
    return sorted(causes, key=lambda cause: (-cause.made, cause.what))


def _reviewers(connection: sa.Connection, made: sa.ColumnElement[bool]) -> Sequence[Reviewer]:
    query = (
        sa.select(
            escalations.c.settled_by,
            _COUNT.label("settled"),
            _KEPT.label("kept"),
            sa.func.avg(escalations.c.settle_s).label("mean_s"),
        )
        .where(made, escalations.c.settled_by != "")
        .group_by(escalations.c.settled_by)
        .order_by(_COUNT.desc(), escalations.c.settled_by)
        .limit(_TOP)
    )
    return [
        Reviewer(row.settled_by, int(row.settled), int(row.kept), float(row.mean_s or 0.0))
        for row in connection.execute(query)
    ]


def _consumers(connection: sa.Connection, made: sa.ColumnElement[bool]) -> Sequence[tuple[str, int]]:
    query = (
        sa.select(escalations.c.consumer, _COUNT.label("made"))
        .where(made, escalations.c.consumer != "")
        .group_by(escalations.c.consumer)
        .having(_COUNT > 1)
        .order_by(_COUNT.desc(), escalations.c.consumer)
        .limit(_TOP)
    )
    return [(row.consumer, int(row.made)) for row in connection.execute(query)]


def _hours(connection: sa.Connection, made: sa.ColumnElement[bool]) -> Mapping[int, int]:
    hour = sa.func.substr(escalations.c.created_at, 12, 2).label("hour")
    query = sa.select(hour, _COUNT.label("made")).where(made).group_by(hour)
    return {int(row.hour): int(row.made) for row in connection.execute(query)}
