"""limits across incidents: who was charged, where, and how many commands an attempt has"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("service", "namespace", "cluster", "runbook"):
        op.add_column("charges", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("attempts", sa.Column("commands", sa.Integer(), server_default="0", nullable=False))
    op.add_column("attempts", sa.Column("holds_until", sa.Text(), server_default="", nullable=False))
    op.create_index("attempts_marker", "attempts", ["marker"], unique=False)
    # what was charged before is still counted: for its service, and for the one cluster there was
    op.execute(
        "UPDATE charges SET cluster = 'default',"
        " service = COALESCE((SELECT service FROM incidents WHERE id = charges.incident_id), ''),"
        " runbook = COALESCE((SELECT runbook_id FROM incidents WHERE id = charges.incident_id), '')"
    )
    op.execute("UPDATE attempts SET commands = 1")


def downgrade() -> None:
    op.drop_index("attempts_marker", table_name="attempts")
    for table, names in (
        ("attempts", ("holds_until", "commands")),
        ("charges", ("runbook", "cluster", "namespace", "service")),
    ):
        for name in names:
            op.drop_column(table, name)
