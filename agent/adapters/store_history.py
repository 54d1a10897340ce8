"""What earlier incidents teach: has this alert come before, what resolved it, how do a runbook's runs end?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from agent.adapters.database import Database, stamp
from agent.adapters.store_incidents import incident_of_row
from agent.adapters.store_schema import attempts, incidents
from agent.domain.decisions import Section
from agent.domain.incident import MANUAL_SOURCE, Incident, Status
from agent.ports import Clock

#: More of the same alert than these are not drawn.
_MOST_OF_THE_SAME = 50


class StoredHistory:
    """Implements ports.HistoryStore."""

    database: Database
    clock: Clock

    def same_before(self, incident_id: str, *, since: datetime) -> Sequence[Incident]:
        """Earlier incidents of the same alert, received since then or resolved since then, oldest first."""
        this = sa.select(incidents.c.identity, incidents.c.received_at).where(incidents.c.id == incident_id)
        with self.database.reading() as connection:
            asked = connection.execute(this).first()
            if asked is None or not asked.identity:
                return []
            query = (
                sa.select(incidents)
                .where(
                    incidents.c.identity == asked.identity,
                    incidents.c.id != incident_id,
                    incidents.c.received_at <= asked.received_at,
                    incidents.c.status != Status.IGNORED.value,
                    incidents.c.source != MANUAL_SOURCE,
                    sa.or_(incidents.c.received_at >= stamp(since), incidents.c.ended_at >= stamp(since)),
                )
                .order_by(incidents.c.received_at.desc())
                .limit(_MOST_OF_THE_SAME)
            )
            return [incident_of_row(row) for row in connection.execute(query)][::-1]

    def lately_resolved(self, limit: int) -> Sequence[Incident]:
        """Incidents that a runbook resolved, newest first."""
        query = (
            sa.select(incidents)
            .where(
                incidents.c.status == Status.RESOLVED.value,
                incidents.c.runbook_id != "",
                incidents.c.source != MANUAL_SOURCE,
            )
            .order_by(incidents.c.received_at.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [incident_of_row(row) for row in connection.execute(query)]

    def run_ends(self, runbook_id: str, revision: str, *, limit: int) -> Sequence[Status]:
        """How the last runs of this revision ended, newest first: resolved or escalated after a step ran."""
        ran = sa.select(attempts.c.incident_id).where(
            attempts.c.incident_id == incidents.c.id, attempts.c.section == Section.STEPS.value
        )
        query = (
            sa.select(incidents.c.status)
            .where(
                incidents.c.runbook_id == runbook_id,
                incidents.c.runbook_revision == revision,
                incidents.c.status.in_([Status.RESOLVED.value, Status.ESCALATED.value]),
                incidents.c.source != MANUAL_SOURCE,
                ran.exists(),
            )
            .order_by(incidents.c.ended_at.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [Status(row.status) for row in connection.execute(query)]
