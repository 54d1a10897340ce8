"""the escalation queue: claims, SLA, routing"""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = "status IN ('open', 'claimed')"

#: What the alert's severity was called, is now a rank with its time to settle.
RANKS = {
    "critical": ("critical", 0, 0.25),
    "error": ("high", 1, 1),
    "warning": ("medium", 2, 4),
    "info": ("low", 3, 24),
}


TEXTS = (
    "title", "rule", "target", "channel", "assignee", "runbook", "policy_rule", "service", "team", "consumer",
    "consumer_group", "action", "note", "settled_by", "settled_with",
)  # fmt: skip
TIMES = (
    "amber_at", "deadline", "next_at", "claimed_at", "acknowledged_at", "warned_at", "breached_at",
    "settled_at",
)  # fmt: skip
OTHERS = ("origin", "rank", "rank_order", "level", "ack_s", "settle_s", "was_kept", "facts")


def upgrade() -> None:
    for name in TEXTS:
        _add(sa.Column(name, sa.Text(), server_default="", nullable=False))
    for name in TIMES:
        _add(sa.Column(name, sa.Text(), nullable=True))
    _add(sa.Column("origin", sa.Text(), server_default="agent", nullable=False))
    _add(sa.Column("rank", sa.Text(), server_default="high", nullable=False))
    _add(sa.Column("rank_order", sa.Integer(), server_default="1", nullable=False))
    _add(sa.Column("level", sa.Integer(), server_default="0", nullable=False))
    # what reports add up
    _add(sa.Column("ack_s", sa.Float(), nullable=True))
    _add(sa.Column("settle_s", sa.Float(), nullable=True))
    _add(sa.Column("was_kept", sa.Boolean(), nullable=True))
    _add(sa.Column("facts", sa.Text(), server_default="{}", nullable=False))
    _fill()
    _partial("escalations_queue", ["rank_order", "created_at", "incident_id"], OPEN)
    _partial("escalations_next", ["next_at"], "next_at IS NOT NULL")
    op.create_index("escalations_settled", "escalations", ["settled_at", "incident_id"], unique=False)
    op.create_index("escalations_created", "escalations", ["created_at"], unique=False)


def _add(column: sa.Column[Any]) -> None:
    op.add_column("escalations", column)


def _partial(name: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, "escalations", columns, sqlite_where=only, postgresql_where=only)


def _fill() -> None:
    """What is in the queue already gets its place; no timer of it runs: an upgrade wakes nobody."""
    names = (
        "incident_id", "severity", "created_at", "summary", "title", "rank", "rank_order", "amber_at",
        "deadline", "rule", "target", "runbook", "service",
    )  # fmt: skip
    queue = sa.table("escalations", *map(sa.column, names))
    incidents = sa.table("incidents", *map(sa.column, ("id", "title", "runbook_id", "service")))
    connection = op.get_bind()
    # with no incident any more it must be claimed and settled like the others
    found = sa.select(
        queue.c.incident_id, queue.c.severity, queue.c.created_at, queue.c.summary,
        incidents.c.title, incidents.c.runbook_id, incidents.c.service,
    ).outerjoin(incidents, incidents.c.id == queue.c.incident_id)  # fmt: skip
    for row in connection.execute(found).all():
        rank, order, hours = RANKS.get(row.severity, ("high", 1, 1))
        created_at = datetime.fromisoformat(row.created_at)
        half, whole = (created_at + timedelta(hours=hours * share) for share in (0.5, 1))
        values = {
            "title": row.title or row.summary or row.incident_id, "rank": rank, "rank_order": order,
            "runbook": row.runbook_id or "", "service": row.service or "", "rule": "built-in",
            "target": "team:on-call",
            "amber_at": half.isoformat(timespec="microseconds"),
            "deadline": whole.isoformat(timespec="microseconds"),
        }  # fmt: skip
        connection.execute(queue.update().where(queue.c.incident_id == row.incident_id).values(**values))


def downgrade() -> None:
    # the version before knows these two alone: what somebody had claimed must not be lost to it
    op.execute("UPDATE escalations SET status = 'open' WHERE status = 'claimed'")
    op.execute("UPDATE escalations SET status = 'resolved' WHERE status NOT IN ('open', 'resolved')")
    for name in ("created", "settled", "next", "queue"):
        op.drop_index(f"escalations_{name}", table_name="escalations")
    for name in (*OTHERS, *TIMES, *TEXTS):
        op.drop_column("escalations", name)
