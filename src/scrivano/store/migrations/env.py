"""Run by Alembic, not imported: `scrivano.store.migrations.upgrade` hands over a connection, in its own transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
