"""The escalation queue as rows: pages in order, and changes that hold only if nobody was faster.

One table for all of it: an incident that ended with a human called, and what another system sends. Its story
is kept in the timeline, under the incident's id or its own; each change is a link of the audit chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_queue_rows import (
    MUTABLE,
    changing,
    facts_of,
    item_of,
    next_at,
    row_of,
    settled,
)
from agent.adapters.store_schema import is_one_of
from agent.adapters.store_schema_queue import OPEN, escalations
from agent.domain.incident import Entry
from agent.domain.outbox import Message
from agent.domain.queue import Escalated, QueueFilter, QueuePage, stories

_WAITS = is_one_of(escalations.c.status, OPEN)

_NEXT = Prepared(
    sa.select(escalations)
    .where(escalations.c.next_at.is_not(None), escalations.c.next_at <= sa.bindparam("now", type_=sa.Text))
    .order_by(escalations.c.next_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_OPEN_COUNT = Prepared(sa.select(sa.func.count()).select_from(escalations).where(_WAITS))


class StoredQueue(StoredIncidents):
    """Implements ports.QueueStore."""

    def queue_item(self, item_id: str) -> Escalated | None:
        """One escalation by its id, or by its incident's."""
        ids = stories(item_id)
        query = sa.select(escalations).where(escalations.c.incident_id.in_(ids))
        with self.database.reading() as connection:
            found = [item_of(row) for row in connection.execute(query)]
        return next((each for each in found if item_id in (each.id, each.incident_id)), None)

    def queue_page(self, wanted: QueueFilter) -> QueuePage:
        """Open ones by rank and then age, settled ones newest first."""
        query = _settled_page(wanted) if wanted.settled else _open_page(wanted)
        for condition in _conditions(wanted):
            query = query.where(condition)
        with self.database.reading() as connection:
            rows = connection.execute(query.limit(wanted.limit + 1)).all()
            count = _OPEN_COUNT.scalar(connection, {})
        shown = rows[: wanted.limit]
        more = _place(shown[-1], wanted) if len(rows) > wanted.limit else ""
        return QueuePage([item_of(row) for row in shown], more, int(count))

    def queue_add(self, item: Escalated, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """Put in one that has no incident of ours; False, and nothing is done, if it is there already."""
        with self.database.chaining() as connection:
            if not self.database.insert_once(connection, escalations, row_of(item)):
                return False
            self.append(connection, item.story, entry)
            self.post(connection, item.story, messages)
            return True

    def queue_change(
        self, before: Escalated, after: Escalated, entry: Entry, messages: Sequence[Message] = ()
    ) -> bool:
        """Change it, tell it and post its messages at once; False if it is not as it was read any more."""
        now = self.clock.now()
        with self.database.chaining() as connection:
            if not self._change(connection, before, after, now):
                return False
            self.append(connection, after.story, entry)
            self.post(connection, after.story, messages)
            return True

    def _change(self, connection: sa.Connection, before: Escalated, after: Escalated, now: datetime) -> bool:
        was = changing(before)
        same = [escalations.c[name].is_not_distinct_from(was[name]) for name in MUTABLE]
        at = next_at(after)
        values = changing(after) | settled(after, now)
        values |= {"next_at": None if at is None else stamp(at), "facts": facts_of(after)}
        values |= _acknowledged(after, values)
        changed = connection.execute(
            escalations.update()
            .where(escalations.c.incident_id == after.story, *same)
            .values(**values)
            .returning(escalations.c.incident_id)
        )
        return changed.first() is not None

    def queue_due(self, now: datetime, most: int) -> Sequence[Escalated]:
        """Open ones whose time ran short or out and of whom nobody was told yet, the latest due last."""
        with self.database.reading() as connection:
            return [item_of(row) for row in _NEXT.all(connection, {"now": stamp(now), "most": most})]

    def queue_like(self, item: Escalated, *, limit: int = 10) -> Sequence[Escalated]:
        """Earlier escalations of the same consumer or policy rule, or of the same service and trigger."""
        same: list[sa.ColumnElement[bool]] = []
        if item.consumer:
            same.append(escalations.c.consumer == item.consumer)
        if item.policy_rule:
            same.append(escalations.c.policy_rule == item.policy_rule)
        if not same:
            same.append(
                sa.and_(
                    escalations.c.service == item.service,
                    escalations.c.trigger == item.trigger,
                    escalations.c.runbook == item.runbook,
                )
            )
        query = (
            sa.select(escalations)
            .where(
                sa.or_(*same),
                escalations.c.created_at <= stamp(item.created_at),
                escalations.c.incident_id != item.story,
            )
            .order_by(escalations.c.created_at.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [item_of(row) for row in connection.execute(query)]


def _acknowledged(after: Escalated, values: dict[str, Any]) -> dict[str, Any]:
    """The first claim, or its end without one, is when somebody began to look."""
    at = after.claimed_at or after.answered_at
    if at is None and "settle_s" not in values:
        return {}
    took_s = max(0.0, (at - after.created_at).total_seconds()) if at is not None else values["settle_s"]
    said = stamp(at) if at is not None else values["settled_at"]
    return {
        "acknowledged_at": sa.func.coalesce(escalations.c.acknowledged_at, said),
        "ack_s": sa.func.coalesce(escalations.c.ack_s, took_s),
    }


def _open_page(wanted: QueueFilter) -> sa.Select[Any]:
    order = (escalations.c.rank_order, escalations.c.created_at, escalations.c.incident_id)
    query = sa.select(escalations).where(_WAITS).order_by(*order)
    place = wanted.after.split("_", 2)
    if len(place) == len(order) and place[0].isascii() and place[0].isdigit():
        behind = (int(place[0][:9]), place[1] + _UTC, place[2])
        query = query.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, behind)))
    return query


def _settled_page(wanted: QueueFilter) -> sa.Select[Any]:
    order = (escalations.c.settled_at, escalations.c.incident_id)
    query = sa.select(escalations).where(escalations.c.settled_at.is_not(None))
    place = wanted.after.split("_", 1)
    if len(place) == len(order):
        behind = (place[0] + _UTC, place[1])
        query = query.where(sa.tuple_(*order) < sa.tuple_(*map(sa.literal, behind)))
    return query.order_by(*(column.desc() for column in order))


#: What every stored time ends in; a place goes through addresses, where its + would be a space.
_UTC = "+00:00"


def _place(row: Any, wanted: QueueFilter) -> str:
    if wanted.settled:
        return f"{row.settled_at.removesuffix(_UTC)}_{row.incident_id}"
    return f"{row.rank_order}_{row.created_at.removesuffix(_UTC)}_{row.incident_id}"


def _conditions(wanted: QueueFilter) -> list[sa.ColumnElement[bool]]:
    given = {
        "status": wanted.status and wanted.status.value,
        "rank": wanted.rank and wanted.rank.value,
        "origin": wanted.origin and wanted.origin.value,
        "trigger": wanted.trigger,
        "service": wanted.service,
        "runbook": wanted.runbook,
        "assignee": wanted.assignee,
    }
    found = [escalations.c[name] == value for name, value in given.items() if value]
    if wanted.targets:
        found.append(escalations.c.target.in_(wanted.targets))
    if wanted.text:
        found.append(escalations.c.title.icontains(wanted.text, autoescape=True))
    return found
