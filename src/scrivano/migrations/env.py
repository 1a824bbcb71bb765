"""Run by Alembic, not imported: `scrivano.migrations.upgrade` hands over a connection, in a transaction of its own."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
