"""Alembic runs on the connection that `Database.migrate` hands over."""

from alembic import context

from agent.adapters.store_schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, version_table="oncall_migrations")
with context.begin_transaction():
    context.run_migrations()
