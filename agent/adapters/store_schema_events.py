"""The tables of decision events: what an AI gateway decided, as far as a post-mortem asks for it."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

decision_events = sa.Table(
    "decision_events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False, server_default=""),
    sa.Column("team_id", sa.Text, nullable=False, server_default=""),
    sa.Column("gateway_id", sa.Text, nullable=False, server_default=""),
    sa.Column("model", sa.Text, nullable=False, server_default=""),
    sa.Column("was_wrong", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("decision_events_at", "at", "decision"),
)

policy_evaluations = sa.Table(
    "policy_evaluations",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("policy_name", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
)
