"""The table of what `## Watch` sections saw: one row for each item, no more."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

watches = sa.Table(
    "watches",
    metadata,
    sa.Column("runbook_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("looked_at", sa.Text),
    sa.Column("severity", sa.Text),
    sa.Column("incident_id", sa.Text, nullable=False, server_default=""),
    sa.Column("state", sa.Text, nullable=False),
)
