"""incidents that other agents gave to us"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "handoffs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("deadline", sa.Text, nullable=False),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("answered_at", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("handoffs_answered", "handoffs", ["answered_at", "received_at"], unique=False)


def downgrade() -> None:
    op.drop_index("handoffs_answered", table_name="handoffs")
    op.drop_table("handoffs")
