"""What the API, the CLI, the dispatcher and the watchdog read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.adapters.archive_rows import link_of
from agent.adapters.database import Database, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_incidents import WHOLE, incident_of_row
from agent.adapters.store_schema import (
    TERMINAL,
    decisions,
    deliveries,
    incidents,
    is_one_of,
    outbox,
    says,
    timeline,
)
from agent.adapters.store_schema_queue import escalations
from agent.domain.incident import MANUAL_SOURCE, Incident
from agent.ports import Clock

_IS_UNFINISHED = ~is_one_of(incidents.c.status, TERMINAL)
_UNFINISHED = Prepared(WHOLE.where(_IS_UNFINISHED, incidents.c.source != MANUAL_SOURCE))
_UNTOLD = Prepared(
    sa.select(decisions.c.incident_id, decisions.c.plan_hash).where(decisions.c.told_at.is_(None))
)
_CHAIN = sa.select(timeline).where(timeline.c.seq > sa.bindparam("after")).order_by(timeline.c.seq)
_CHAIN_PAGE = Prepared(_CHAIN.limit(sa.bindparam("most", type_=sa.Integer)))


class StoredViews:
    """Read models; nothing here decides."""

    database: Database
    clock: Clock

    def incidents(
        self, *, limit: int = 50, source_id: str | None = None, status: str | None = None
    ) -> Sequence[Incident]:
        """Newest first."""
        query = WHOLE.order_by(incidents.c.received_at.desc()).limit(limit)
        if source_id is not None:
            query = query.where(incidents.c.source_id == source_id)
        if status is not None:
            query = query.where(incidents.c.status == status)
        with self.database.reading() as connection:
            return [incident_of_row(row) for row in connection.execute(query)]

    def unfinished(self) -> Sequence[Incident]:
        """Every incident of the daemon that has not ended."""
        with self.database.reading() as connection:
            return [incident_of_row(row) for row in _UNFINISHED.all(connection, {})]

    def untold_decisions(self) -> Sequence[tuple[str, str]]:
        """(incident, what was asked) of each decision whose run was not woken for it yet."""
        with self.database.reading() as connection:
            return [(row.incident_id, row.plan_hash) for row in _UNTOLD.all(connection, {})]

    def decision_told(self, incident_id: str, plan_hash: str) -> None:
        """Its run was woken for this one; what was decided meanwhile wakes it again."""
        with self.database.writing() as connection:
            connection.execute(
                decisions.update()
                .where(decisions.c.incident_id == incident_id, decisions.c.plan_hash == plan_hash)
                .values(told_at=stamp(self.clock.now()))
            )

    def escalation(self, incident_id: str) -> Mapping[str, Any] | None:
        """The incident's place in the queue, if a human was called."""
        query = sa.select(escalations).where(escalations.c.incident_id == incident_id)
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return dict(row._mapping) if row else None

    def outbox_state(self) -> Mapping[str, tuple[int, datetime | None]]:
        """Per channel: how many letters wait, and since when."""
        query = (
            sa.select(outbox.c.channel, sa.func.count(), sa.func.min(outbox.c.created_at))
            .where(says(outbox.c.state, "waiting"))
            .group_by(outbox.c.channel)
        )
        with self.database.reading() as connection:
            return {
                channel: (count, datetime.fromisoformat(oldest) if oldest else None)
                for channel, count, oldest in connection.execute(query)
            }

    def counts_by_status(self) -> Mapping[str, int]:
        """How many incidents stand where."""
        query = sa.select(incidents.c.status, sa.func.count()).group_by(incidents.c.status)
        with self.database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def delivery_outcomes(self, incident_id: str) -> Sequence[Mapping[str, Any]]:
        """The webhooks that belong to an incident and what was made of each."""
        query = sa.select(deliveries.c.id, deliveries.c.received_at, deliveries.c.outcome).where(
            deliveries.c.incident_id == incident_id
        )
        with self.database.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    def audit_entries(self, *, after: int = 0, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """The chain as JSON-able entries, in order."""
        with self.database.reading() as connection:
            if limit is None:  # as they come: the whole chain may be long
                yield from map(link_of, connection.execute(_CHAIN, {"after": after}))
            else:
                yield from map(link_of, _CHAIN_PAGE.all(connection, {"after": after, "most": limit}))
