"""Decision events: kept once each, counted for a window, and dropped when they are old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import Database, stamp
from agent.adapters.json_view import clean
from agent.adapters.store_schema_events import decision_events, policy_evaluations
from agent.domain.decision_event import BLOCKED, DecisionEvent, GovernanceData, Minute, Ranked

#: Rows of one transaction: others wait for it.
_AT_ONCE = 200

#: Names that are shown of each kind; as many as the published query gives.
_MOST = 20

#: Begins a minute as it is stored, in SQLite and PostgreSQL alike.
_MINUTE_CHARS = len("2026-04-23T14:00")

_MINUTE = sa.func.substr(decision_events.c.at, 1, _MINUTE_CHARS)
_COUNT = sa.func.count()


class StoredDecisionEvents:
    """What a post-mortem knows of the requests that were decided meanwhile."""

    database: Database

    def keep_events(self, events: Iterable[DecisionEvent]) -> int:
        """Keep those that are not known by their id yet; how many were new."""
        new, left = 0, iter(events)
        while some := list(islice(left, _AT_ONCE)):
            with self.database.writing() as connection:
                new += sum(self._keep(connection, event) for event in some)
        return new

    def _keep(self, connection: sa.Connection, event: DecisionEvent) -> bool:
        row = {
            "id": clean(event.id),
            "at": stamp(event.at),
            "decision": clean(event.decision),
            "user_id": clean(event.user),
            "team_id": clean(event.team),
            "gateway_id": clean(event.gateway),
            "model": clean(event.model),
            "was_wrong": event.was_wrong,
        }
        if not self.database.insert_once(connection, decision_events, row):
            return False
        evaluations = [
            {
                "event_id": row["id"],
                "place": place,
                "policy_name": clean(each.policy),
                "result": clean(each.result),
            }
            for place, each in enumerate(event.evaluations)
        ]
        if evaluations:
            connection.execute(policy_evaluations.insert(), evaluations)
        return True

    def governance(self, since: datetime, until: datetime) -> GovernanceData | None:
        """What the events of a window come to; None if there are none."""
        inside = _within(since, until)
        blocked = sa.and_(inside, decision_events.c.decision == BLOCKED)
        with self.database.reading() as connection:
            decisions = _counts(connection, decision_events.c.decision, inside)
            if not decisions:
                return None
            users = sa.func.count(sa.distinct(sa.func.nullif(decision_events.c.user_id, "")))
            teams = sa.func.count(sa.distinct(sa.func.nullif(decision_events.c.team_id, "")))
            affected = connection.execute(sa.select(users, teams).where(blocked)).one()
            wrong = connection.execute(
                sa.select(_COUNT).select_from(decision_events).where(blocked, decision_events.c.was_wrong)
            ).scalar_one()
            return GovernanceData(
                since,
                until,
                total=sum(decisions.values()),
                blocked=decisions.get(BLOCKED, 0),
                wrong=wrong,
                users=affected[0],
                teams=affected[1],
                minutes=tuple(_minutes(connection, inside)),
                policies=tuple(_policies(connection, inside)),
                top_users=tuple(_users(connection, blocked)),
                decisions=decisions,
            )

    def drop_events(self, before: datetime, *, limit: int) -> int:
        """Delete some that are older; how many. One transaction."""
        old = sa.select(decision_events.c.id).where(decision_events.c.at < stamp(before)).limit(limit)
        with self.database.reading() as connection:
            ids = list(connection.execute(old).scalars())
        if ids:
            with self.database.writing() as connection:
                connection.execute(policy_evaluations.delete().where(policy_evaluations.c.event_id.in_(ids)))
                connection.execute(decision_events.delete().where(decision_events.c.id.in_(ids)))
        return len(ids)


def _within(since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(decision_events.c.at >= stamp(since), decision_events.c.at <= stamp(until))


def _counts(
    connection: sa.Connection, column: sa.ColumnElement[str], inside: sa.ColumnElement[bool]
) -> Mapping[str, int]:
    query = sa.select(column, _COUNT).where(inside).group_by(column).order_by(column)
    return {row[0]: row[1] for row in connection.execute(query)}


def _minutes(connection: sa.Connection, inside: sa.ColumnElement[bool]) -> Sequence[Minute]:
    """How many of each decision, minute by minute; minutes without any are left out."""
    query = (
        sa.select(_MINUTE.label("minute"), decision_events.c.decision, _COUNT.label("many"))
        .where(inside)
        .group_by(_MINUTE, decision_events.c.decision)
        .order_by(_MINUTE, decision_events.c.decision)
    )
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.minute, {})[row.decision] = row.many
    return [
        Minute(datetime.fromisoformat(minute).replace(tzinfo=UTC), decisions)
        for minute, decisions in found.items()
    ]


def _policies(connection: sa.Connection, inside: sa.ColumnElement[bool]) -> Sequence[Ranked]:
    query = (
        sa.select(policy_evaluations.c.policy_name, _COUNT.label("many"))
        .join(decision_events, policy_evaluations.c.event_id == decision_events.c.id)
        .where(inside, policy_evaluations.c.result == BLOCKED)
        .group_by(policy_evaluations.c.policy_name)
    )
    return _ranked(connection, query, policy_evaluations.c.policy_name)


def _users(connection: sa.Connection, blocked: sa.ColumnElement[bool]) -> Sequence[Ranked]:
    query = (
        sa.select(decision_events.c.user_id, _COUNT.label("many"))
        .where(blocked, decision_events.c.user_id != "")
        .group_by(decision_events.c.user_id)
    )
    return _ranked(connection, query, decision_events.c.user_id)


def _ranked(connection: sa.Connection, query: sa.Select[Any], name: sa.ColumnElement[str]) -> list[Ranked]:
    ordered = query.order_by(sa.desc("many"), name).limit(_MOST)
    return [Ranked(row[0], row[1]) for row in connection.execute(ordered)]
