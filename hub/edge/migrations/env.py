"""Alembic's environment: `Store.upgrade` hands over its connection, already in a transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
