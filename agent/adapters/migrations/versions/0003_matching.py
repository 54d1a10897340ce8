"""matching: which alerts are the same one, and which runbook a human chose"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # alerts from before the upgrade stay without an identity: they count for nothing
    op.add_column("incidents", sa.Column("identity", sa.Text(), server_default="", nullable=False))
    op.create_index("incidents_identity", "incidents", ["identity", "received_at"], unique=False)
    op.create_index("incidents_runbook", "incidents", ["runbook_id", "ended_at"], unique=False)
    op.add_column("decisions", sa.Column("choice", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("decisions", "choice")
    op.drop_index("incidents_runbook", table_name="incidents")
    op.drop_index("incidents_identity", table_name="incidents")
    op.drop_column("incidents", "identity")
