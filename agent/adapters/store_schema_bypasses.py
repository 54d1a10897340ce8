"""The table of emergency bypasses that are open: what ends is deleted, its story stays in the timeline.

It goes with no incident into an archive: for as long as one is open it has to be ended.
"""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

keeptrusts_bypasses = sa.Table(
    "keeptrusts_bypasses",
    metadata,
    sa.Column("configuration", sa.Text, primary_key=True),
    sa.Column("incident", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("during", sa.Text, nullable=False),
    sa.Column("begun_at", sa.Text, nullable=False),
    sa.Column("ends_at", sa.Text, nullable=False),
    sa.Column("next_at", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
)
