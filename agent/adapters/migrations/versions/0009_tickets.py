"""tickets, one for each thing they are about"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False, server_default=""),
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sa.Column("begun_at", sa.Text, nullable=False),
        sa.Column("tried_at", sa.Text),
        sa.Column("opened_at", sa.Text),
        sa.Column("closed_at", sa.Text),
        sa.Column("closed_by", sa.Text, nullable=False, server_default=""),
        sa.UniqueConstraint("mark"),
    )
    op.create_index("tickets_incident", "tickets", ["incident_id"], unique=False)
    op.create_index("tickets_ref", "tickets", ["ref"], unique=False)


def downgrade() -> None:
    op.drop_index("tickets_ref", table_name="tickets")
    op.drop_index("tickets_incident", table_name="tickets")
    op.drop_table("tickets")
