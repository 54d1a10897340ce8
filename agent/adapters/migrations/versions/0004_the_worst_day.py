"""the worst day: kill switch, replicas, storms of one alert, archives"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UNFINISHED = "status NOT IN ('resolved', 'escalated', 'stood_down', 'ignored')"
WAITING = "state = 'waiting'"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("alert_count", sa.Integer(), server_default="1", nullable=False))
    op.add_column("incidents", sa.Column("last_alert_at", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("folded_into", sa.Text(), server_default="", nullable=False))
    op.add_column("incidents", sa.Column("fold_key", sa.Text(), server_default="", nullable=False))
    _partial("incidents_fold_open", "incidents", ["fold_key"], UNFINISHED)
    _partial("incidents_fold_paged", "incidents", ["fold_key", "ended_at"], "status = 'escalated'")
    _partial("incidents_folded", "incidents", ["folded_into"], "folded_into != ''")
    op.create_index("incidents_service", "incidents", ["service", "received_at"], unique=False)
    # since when an incident stands where it stands, and until when it waits for a human there
    op.add_column("incidents", sa.Column("status_at", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("waits_until", sa.Text(), nullable=True))
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "stops",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("ends_running", sa.Boolean(), nullable=False),
        sa.Column("lifted_at", sa.Text(), nullable=True),
        sa.Column("lifted_by", sa.Text(), server_default="", nullable=False),
        # when the incidents that it touches were told of it, and of its end
        sa.Column("told_at", sa.Text(), nullable=True),
        sa.Column("lift_told_at", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("stops_in_force", "stops", ["lifted_at"], unique=False)
    op.create_table(
        "executors",
        sa.Column("executor_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Text(), nullable=False),
        sa.Column("left_at", sa.Text(), nullable=True),
        sa.Column("taken_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("executor_id"),
    )
    # who began it: only the commands of an executor that is gone are ended as orphans
    op.add_column("attempts", sa.Column("executor", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "runs",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("executor_id", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("topic", sa.Text(), server_default="", nullable=False),
        sa.Column("until", sa.Text(), nullable=True),
        sa.Column("wants_turn", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("takeovers", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("incident_id"),
    )
    op.create_index("runs_parked", "runs", ["topic", "until"], unique=False)
    op.create_index("runs_active", "runs", ["active", "incident_id"], unique=False)
    op.create_index("decisions_untold", "decisions", ["told_at"], unique=False)
    # what is under way goes on as the first leg of its run, wherever the engine recovers it
    op.execute(
        "INSERT INTO runs (incident_id, leg, executor_id, active) "
        "SELECT id, 1, '', status != 'awaiting_approval' FROM incidents WHERE started_at IS NOT NULL "
        "AND status NOT IN ('resolved', 'escalated', 'stood_down', 'ignored') AND source != 'command line'"
    )
    op.create_table(
        "run_steps",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "name"),
    )
    op.create_table(
        "run_wakes",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "topic"),
    )
    op.create_table(
        "turns",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("service"),
    )
    op.create_table(
        "archives",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("incidents", sa.Integer(), nullable=False),
        sa.Column("ended_before", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    # tells a clock that was set back: a letter is never held up for longer than it was postponed for
    op.add_column("outbox", sa.Column("postponed_at", sa.Text(), server_default="", nullable=False))
    op.create_index("deliveries_incident", "deliveries", ["incident_id"], unique=False)
    op.create_index("incidents_ended", "incidents", ["ended_at"], unique=False)
    _partial("deliveries_bodies", "deliveries", ["handled_at"], "raw != ''")
    _index_what_is_open()


def _index_what_is_open() -> None:
    """What is looked for many times a second is found among what is open; what has ended costs nothing."""
    _partial("incidents_unfinished", "incidents", ["started_at", "service", "received_at"], UNFINISHED)
    _partial("incidents_waiting", "incidents", ["status", "waits_until"], "status = 'awaiting_approval'")
    op.create_index("incidents_received", "incidents", ["received_at"], unique=False)
    op.create_index("incidents_source_id", "incidents", ["source_id"], unique=False)
    op.drop_index("deliveries_unhandled", table_name="deliveries")
    _partial("deliveries_unhandled", "deliveries", ["received_at"], "handled_at IS NULL")
    op.drop_index("attempts_unfinished", table_name="attempts")
    _partial("attempts_unfinished", "attempts", ["incident_id", "marker"], "ended_at IS NULL")
    op.drop_index("outbox_waiting", table_name="outbox")
    _partial("outbox_waiting", "outbox", ["channel", "id"], WAITING)
    _partial("outbox_postponed", "outbox", ["channel", "incident_id", "id"], f"{WAITING} AND due_at != ''")
    # what a page says at its top, so that it is known again when it comes back as a webhook
    op.add_column("outbox", sa.Column("summary", sa.Text(), server_default="", nullable=False))
    _fill_summaries()
    _partial("outbox_summary", "outbox", ["summary"], "summary != ''", using="hash")
    op.drop_index("escalations_summary", table_name="escalations")
    op.create_index("escalations_summary", "escalations", ["summary"], postgresql_using="hash")


def _partial(name: str, table: str, columns: list[str], where: str, *, using: str = "btree") -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only, postgresql_using=using)


def _fill_summaries() -> None:
    letters = sa.table(
        "outbox", sa.column("id"), sa.column("channel"), sa.column("message"), sa.column("summary")
    )
    connection = op.get_bind()
    pages = connection.execute(sa.select(letters.c.id, letters.c.message).where(letters.c.channel == "pager"))
    for page in pages.all():
        summary = json.loads(page.message).get("summary", "")
        connection.execute(letters.update().where(letters.c.id == page.id).values(summary=summary))


def downgrade() -> None:
    op.drop_index("escalations_summary", table_name="escalations")
    op.create_index("escalations_summary", "escalations", ["summary"], unique=False)
    op.drop_index("outbox_summary", table_name="outbox")
    op.drop_column("outbox", "summary")
    op.drop_index("outbox_postponed", table_name="outbox")
    op.drop_index("outbox_waiting", table_name="outbox")
    op.create_index("outbox_waiting", "outbox", ["channel", "state", "id"], unique=False)
    op.drop_index("attempts_unfinished", table_name="attempts")
    op.create_index("attempts_unfinished", "attempts", ["ended_at"], unique=False)
    op.drop_index("deliveries_unhandled", table_name="deliveries")
    op.create_index("deliveries_unhandled", "deliveries", ["handled_at", "received_at"], unique=False)
    op.drop_index("incidents_source_id", table_name="incidents")
    op.drop_index("incidents_received", table_name="incidents")
    op.drop_index("incidents_waiting", table_name="incidents")
    op.drop_index("incidents_unfinished", table_name="incidents")
    op.drop_index("incidents_ended", table_name="incidents")
    op.drop_index("deliveries_bodies", table_name="deliveries")
    op.drop_index("deliveries_incident", table_name="deliveries")
    op.drop_column("outbox", "postponed_at")
    op.drop_table("archives")
    op.drop_table("turns")
    op.drop_table("run_wakes")
    op.drop_table("run_steps")
    op.drop_index("decisions_untold", table_name="decisions")
    op.drop_index("runs_active", table_name="runs")
    op.drop_index("runs_parked", table_name="runs")
    op.drop_table("runs")
    op.drop_column("attempts", "executor")
    op.drop_table("executors")
    op.drop_index("stops_in_force", table_name="stops")
    op.drop_table("stops")
    op.drop_table("counters")
    op.drop_column("incidents", "waits_until")
    op.drop_column("incidents", "status_at")
    op.drop_index("incidents_service", table_name="incidents")
    op.drop_index("incidents_folded", table_name="incidents")
    op.drop_index("incidents_fold_paged", table_name="incidents")
    op.drop_index("incidents_fold_open", table_name="incidents")
    op.drop_column("incidents", "fold_key")
    op.drop_column("incidents", "folded_into")
    op.drop_column("incidents", "last_alert_at")
    op.drop_column("incidents", "alert_count")
