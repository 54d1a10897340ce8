"""how far each runbook may go alone, and why"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "autonomy",
        sa.Column("runbook_id", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        # the hash of what the file lets happen: a changed one has earned nothing
        sa.Column("effects", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("in_a_row", sa.Integer(), server_default="0", nullable=False),
        sa.Column("proposed", sa.Text(), server_default="", nullable=False),
        sa.Column("evidence", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("runbook_id"),
    )


def downgrade() -> None:
    op.drop_table("autonomy")
