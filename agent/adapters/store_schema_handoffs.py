"""The table of incidents that other agents handed to this one, until long after they were answered."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

handoffs = sa.Table(
    "handoffs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sender", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("deadline", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("answered_at", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),
    sa.Index("handoffs_answered", "answered_at", "received_at"),
)
