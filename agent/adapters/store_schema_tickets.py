"""The table of tickets: one row for each thing that one was opened for."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

#: Under this name it is known when the database was restored: tickets may stand there that it knows not.
RESTORED = "restored"

#: `incident_id` is the story that tells of it. `tried_at`: asked for then, and what came of it is not known.
tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("incident_id", sa.Text, nullable=False),
    sa.Column("mark", sa.Text, nullable=False, unique=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ref", sa.Text, nullable=False, server_default=""),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("begun_at", sa.Text, nullable=False),
    sa.Column("tried_at", sa.Text),
    sa.Column("opened_at", sa.Text),
    sa.Column("closed_at", sa.Text),
    sa.Column("closed_by", sa.Text, nullable=False, server_default=""),
    sa.Index("tickets_incident", "incident_id"),
    sa.Index("tickets_ref", "ref"),
)
