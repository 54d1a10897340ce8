"""the worst day: kill switch, replicas, storms of one alert, archives"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incidents", sa.Column("alert_count", sa.Integer(), server_default="1", nullable=False))
    op.add_column("incidents", sa.Column("last_alert_at", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("folded_into", sa.Text(), server_default="", nullable=False))
    op.create_index("incidents_service", "incidents", ["service", "status"], unique=False)
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
        sa.PrimaryKeyConstraint("executor_id"),
    )
    op.create_table(
        "archives",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("incidents", sa.Integer(), nullable=False),
        sa.Column("ended_before", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("archives")
    op.drop_table("executors")
    op.drop_index("stops_in_force", table_name="stops")
    op.drop_table("stops")
    op.drop_index("incidents_service", table_name="incidents")
    op.drop_column("incidents", "folded_into")
    op.drop_column("incidents", "last_alert_at")
    op.drop_column("incidents", "alert_count")
