"""The agent's own tables; Alembic's migrations make them, this is how the code speaks of them.

They are the truth for incidents, timeline, journal, charges and outbox. Times are ISO 8601 text in
UTC with microseconds, so that they sort as text in SQLite and PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

metadata = sa.MetaData()


def is_one_of(column: sa.ColumnElement[str], words: Sequence[str]) -> sa.ColumnElement[bool]:
    """Whether a column says one of our own words; written out, or no partial index would be found by it."""
    return column.in_([sa.literal_column(f"'{word}'") for word in words])


def says(column: sa.ColumnElement[str], word: str) -> sa.ColumnElement[bool]:
    """Whether a column says one of our own words; written out, see `is_one_of`."""
    return column == sa.literal_column(f"'{word}'")


#: The statuses of an incident that has ended, in the order in which the partial indexes name them.
TERMINAL = ("resolved", "escalated", "stood_down", "ignored")


def partial_index(name: str, *columns: str, where: str, using: str = "btree") -> sa.Index:
    """An index over what is open: what has ended, which grows for ever, is not in it."""
    return sa.Index(
        name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where), postgresql_using=using
    )


deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
    sa.Column("incident_id", sa.Text),
    sa.Column("handled_at", sa.Text),
    sa.Column("outcome", sa.Text),
    partial_index("deliveries_unhandled", "received_at", where="handled_at IS NULL"),
    sa.Index("deliveries_incident", "incident_id"),
    partial_index("deliveries_bodies", "handled_at", where="raw != ''"),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("alert", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text),
    sa.Column("ended_at", sa.Text),
    sa.Column("runbook_id", sa.Text, nullable=False, server_default=""),
    sa.Column("runbook_title", sa.Text, nullable=False, server_default=""),
    sa.Column("runbook_revision", sa.Text, nullable=False, server_default=""),
    sa.Column("autonomy", sa.Text, nullable=False, server_default=""),
    sa.Column("confidence", sa.Float),
    sa.Column("match_reasons", sa.Text, nullable=False, server_default="[]"),
    sa.Column("plan", sa.Text),
    sa.Column("steps_total", sa.Integer, nullable=False, server_default="0"),
    sa.Column("steps_done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("result", sa.Text, nullable=False, server_default=""),
    sa.Column("stood_down_by", sa.Text, nullable=False, server_default=""),
    sa.Column("stood_down_how", sa.Text, nullable=False, server_default=""),
    sa.Column("identity", sa.Text, nullable=False, server_default=""),
    sa.Column("alert_count", sa.Integer, nullable=False, server_default="1"),
    sa.Column("last_alert_at", sa.Text),
    sa.Column("folded_into", sa.Text, nullable=False, server_default=""),
    sa.Column("fold_key", sa.Text, nullable=False, server_default=""),
    sa.Column("status_at", sa.Text),
    sa.Column("waits_until", sa.Text),
    sa.UniqueConstraint("source", "source_id"),
    sa.Index("incidents_status", "status", "received_at"),
    sa.Index("incidents_identity", "identity", "received_at"),
    sa.Index("incidents_runbook", "runbook_id", "ended_at"),
    sa.Index("incidents_service", "service", "received_at"),
    sa.Index("incidents_ended", "ended_at"),
    sa.Index("incidents_received", "received_at"),
    sa.Index("incidents_source_id", "source_id"),
    partial_index("incidents_waiting", "status", "waits_until", where="status = 'awaiting_approval'"),
    partial_index("incidents_fold_open", "fold_key", where=f"status NOT IN {TERMINAL}"),
    partial_index("incidents_fold_paged", "fold_key", "ended_at", where="status = 'escalated'"),
    partial_index("incidents_folded", "folded_into", where="folded_into != ''"),
    partial_index(
        "incidents_unfinished",
        "started_at",
        "service",
        "received_at",
        where=f"status NOT IN {TERMINAL}",
    ),
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("revision", sa.Text, primary_key=True),
    sa.Column("runbook_id", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("incident_id", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.UniqueConstraint("incident_id", "key"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("section", sa.Text, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False),
    sa.Column("marker", sa.Text, nullable=False),
    sa.Column("begun_at", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Text),
    sa.Column("attempt", sa.Text),
    sa.Column("commands", sa.Integer, nullable=False, server_default="0"),
    sa.Column("holds_until", sa.Text, nullable=False, server_default=""),
    sa.Column("executor", sa.Text, nullable=False, server_default=""),
    partial_index("attempts_unfinished", "incident_id", "marker", where="ended_at IS NULL"),
    sa.Index("attempts_marker", "marker"),
)

charges = sa.Table(
    "charges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("incident_id", sa.Text, nullable=False),
    sa.Column("marker", sa.Text, nullable=False),
    sa.Column("effect_class", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False, server_default=""),
    sa.Column("namespace", sa.Text, nullable=False, server_default=""),
    sa.Column("cluster", sa.Text, nullable=False, server_default=""),
    sa.Column("runbook", sa.Text, nullable=False, server_default=""),
    sa.Index("charges_incident", "incident_id", "effect_class"),
    sa.Index("charges_time", "effect_class", "at"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("incident_id", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("due_at", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("sent_at", sa.Text),
    sa.Column("postponed_at", sa.Text, nullable=False, server_default=""),
    sa.Column("summary", sa.Text, nullable=False, server_default=""),
    partial_index("outbox_waiting", "channel", "id", where="state = 'waiting'"),
    partial_index(
        "outbox_postponed", "channel", "incident_id", "id", where="state = 'waiting' AND due_at != ''"
    ),
    partial_index("outbox_summary", "summary", where="summary != ''", using="hash"),
    sa.Index("outbox_incident", "incident_id"),
)

threads = sa.Table(
    "threads",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, nullable=False),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("plan_hash", sa.Text, primary_key=True),
    sa.Column("approved", sa.Boolean, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("told_at", sa.Text),
    sa.Column("choice", sa.Text, nullable=False, server_default=""),
    sa.Index("decisions_untold", "told_at"),
)

own_writes = sa.Table(
    "own_writes",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("action", sa.Text, primary_key=True),
    sa.Column("begun_at", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Text),
    sa.Column("actor_id", sa.Text, nullable=False, server_default=""),
)

known = sa.Table(
    "known",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)

stops = sa.Table(
    "stops",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("ends_running", sa.Boolean, nullable=False),
    sa.Column("lifted_at", sa.Text),
    sa.Column("lifted_by", sa.Text, nullable=False, server_default=""),
    sa.Column("told_at", sa.Text),
    sa.Column("lift_told_at", sa.Text),
    sa.Index("stops_in_force", "lifted_at"),
)

executors = sa.Table(
    "executors",
    metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("seen_at", sa.Text, nullable=False),
    sa.Column("left_at", sa.Text),
    sa.Column("taken_by", sa.Text, nullable=False, server_default=""),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("leg", sa.Integer, nullable=False),
    sa.Column("executor_id", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("topic", sa.Text, nullable=False, server_default=""),
    sa.Column("until", sa.Text),
    sa.Column("wants_turn", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("takeovers", sa.Integer, nullable=False, server_default="0"),
    sa.Index("runs_parked", "topic", "until"),
    sa.Index("runs_active", "active", "incident_id"),
)

run_steps = sa.Table(
    "run_steps",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

run_wakes = sa.Table(
    "run_wakes",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
)

archives = sa.Table(
    "archives",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("incidents", sa.Integer, nullable=False),
    sa.Column("ended_before", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("deleted_at", sa.Text),
)

presses = sa.Table(
    "presses",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False, server_default=""),
    sa.Column("by", sa.Text, nullable=False, server_default=""),
    sa.Column("answer", sa.Text, nullable=False, server_default=""),
    sa.Index("presses_at", "at"),
)

cards = sa.Table(
    "cards",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("ref", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False, server_default=""),
    sa.Column("is_over", sa.Boolean, nullable=False, server_default=sa.false()),
)

votes = sa.Table(
    "votes",
    metadata,
    sa.Column("incident_id", sa.Text, primary_key=True),
    sa.Column("plan_hash", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("step_by_step", sa.Boolean, nullable=False, server_default=sa.false()),
)

autonomy = sa.Table(
    "autonomy",
    metadata,
    sa.Column("runbook_id", sa.Text, primary_key=True),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("effects", sa.Text, nullable=False),
    sa.Column("since", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("in_a_row", sa.Integer, nullable=False, server_default="0"),
    sa.Column("proposed", sa.Text, nullable=False, server_default=""),
    sa.Column("evidence", sa.Text, nullable=False, server_default="[]"),
)
