"""escalations of Keeptrusts by their state, and emergency bypasses that are open"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("escalations", sa.Column("respond_by", sa.Text))
    op.add_column("escalations", sa.Column("unanswered_at", sa.Text))
    op.create_table(
        "keeptrusts_early",
        sa.Column("escalation_id", sa.Text, primary_key=True),
        sa.Column("resolution", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "keeptrusts_bypasses",
        sa.Column("configuration", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("during", sa.Text, nullable=False),
        sa.Column("begun_at", sa.Text, nullable=False),
        sa.Column("ends_at", sa.Text, nullable=False),
        sa.Column("next_at", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_table("keeptrusts_early")
    op.drop_column("escalations", "unanswered_at")
    op.drop_column("escalations", "respond_by")
    op.drop_table("keeptrusts_bypasses")
