"""what is watched, and when it was last looked at"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("runbook_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("looked_at", sa.Text),
        sa.Column("severity", sa.Text),
        sa.Column("incident_id", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("watches")
