"""What `## Watch` sections saw, and what is raised because of it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database, stamp
from agent.adapters.leading import still_leads
from agent.adapters.store_schema_probes import watches
from agent.domain.probing import ProbeState


class StoredProbes:
    """Implements ports.ProbeStore. A look changes no incident, so it is no link of the audit chain."""

    database: Database

    def probe_states(self) -> Sequence[ProbeState]:
        """All of them."""
        query = sa.select(watches.c.state).order_by(watches.c.runbook_id, watches.c.key)
        with self.database.reading() as connection:
            return [codec.load(state, ProbeState) for state in connection.execute(query).scalars()]

    def keep_probe(self, state: ProbeState) -> None:
        """Remember this from now on; StoreError once another process looks."""
        raised = state.raised
        row = {
            "runbook_id": state.runbook_id,
            "key": state.key,
            "looked_at": None if state.looked_at is None else stamp(state.looked_at),
            "severity": None if raised is None else raised.severity.value,
            "incident_id": "" if raised is None else raised.incident_id,
            "state": codec.packed(state),
        }
        with self.database.writing() as connection:
            still_leads()
            self.database.upsert(connection, watches, row)

    def forget_probe(self, runbook_id: str, key: str) -> None:
        """It is watched no longer."""
        with self.database.writing() as connection:
            still_leads()
            connection.execute(
                watches.delete().where(watches.c.runbook_id == runbook_id, watches.c.key == key)
            )
