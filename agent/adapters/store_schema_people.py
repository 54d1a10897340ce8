"""The tables of who is who: what signs people in, their sessions and tokens; of each secret only a hash."""

from __future__ import annotations

import sqlalchemy as sa

from agent.adapters.store_schema import metadata

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("password", sa.Text, nullable=False),
    sa.Column("set_at", sa.Text, nullable=False),
    sa.Column("set_by", sa.Text, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("proof", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False, server_default=""),
    sa.Column("groups", sa.Text, nullable=False, server_default="[]"),
    sa.Column("address", sa.Text, nullable=False, server_default=""),
    sa.Column("browser", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("seen_at", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Text),
    sa.Index("sessions_person", "person", "ended_at"),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text),
    sa.Column("used_at", sa.Text),
    sa.Column("revoked_at", sa.Text),
    sa.Index("api_tokens_person", "person"),
)

sign_in_failures = sa.Table(
    "sign_in_failures",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Index("sign_in_failures_account", "account", "at"),
    sa.Index("sign_in_failures_address", "address", "at"),
)

sign_in_starts = sa.Table(
    "sign_in_starts",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("browser", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("until", sa.Text, nullable=False),
)
