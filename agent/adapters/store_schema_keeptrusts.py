"""The table of what Keeptrusts said was over before it said that it was there."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

keeptrusts_early = sa.Table(
    "keeptrusts_early",
    metadata,
    sa.Column("escalation_id", sa.Text, primary_key=True),
    sa.Column("resolution", sa.Text, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
