"""The table of the escalation queue: what waits for a human, who has it, until when."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata, partial_index

#: The statuses of an escalation that waits for somebody, in the order in which its index names them.
OPEN = ("open", "claimed")

#: The queue. `incident_id` is the story it belongs to: its incident's id, or its own if it has no incident.
#: `next_at` is when its SLA has something to say next; `*_s` and `was_kept` are what reports add up.
escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("dedup_key", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False, server_default="agent"),
    sa.Column("title", sa.Text, nullable=False, server_default=""),
    sa.Column("rank", sa.Text, nullable=False, server_default="high"),
    sa.Column("rank_order", sa.Integer, nullable=False, server_default="1"),
    sa.Column("amber_at", sa.Text),
    sa.Column("deadline", sa.Text),
    sa.Column("next_at", sa.Text),
    sa.Column("rule", sa.Text, nullable=False, server_default=""),
    sa.Column("target", sa.Text, nullable=False, server_default=""),
    sa.Column("channel", sa.Text, nullable=False, server_default=""),
    sa.Column("assignee", sa.Text, nullable=False, server_default=""),
    sa.Column("claimed_at", sa.Text),
    sa.Column("acknowledged_at", sa.Text),
    sa.Column("warned_at", sa.Text),
    sa.Column("breached_at", sa.Text),
    sa.Column("respond_by", sa.Text),
    sa.Column("unanswered_at", sa.Text),
    sa.Column("level", sa.Integer, nullable=False, server_default="0"),
    sa.Column("runbook", sa.Text, nullable=False, server_default=""),
    sa.Column("policy_rule", sa.Text, nullable=False, server_default=""),
    sa.Column("service", sa.Text, nullable=False, server_default=""),
    sa.Column("team", sa.Text, nullable=False, server_default=""),
    sa.Column("consumer", sa.Text, nullable=False, server_default=""),
    sa.Column("consumer_group", sa.Text, nullable=False, server_default=""),
    sa.Column("action", sa.Text, nullable=False, server_default=""),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("settled_by", sa.Text, nullable=False, server_default=""),
    sa.Column("settled_with", sa.Text, nullable=False, server_default=""),
    sa.Column("settled_at", sa.Text),
    sa.Column("ack_s", sa.Float),
    sa.Column("settle_s", sa.Float),
    sa.Column("was_kept", sa.Boolean),
    sa.Column("facts", sa.Text, nullable=False, server_default="{}"),
    # a summary may be longer than what PostgreSQL puts into any other kind of index
    sa.Index("escalations_summary", "summary", postgresql_using="hash"),
    partial_index("escalations_queue", "rank_order", "created_at", "incident_id", where=f"status IN {OPEN}"),
    partial_index("escalations_next", "next_at", where="next_at IS NOT NULL"),
    sa.Index("escalations_settled", "settled_at", "incident_id"),
    sa.Index("escalations_created", "created_at"),
)
