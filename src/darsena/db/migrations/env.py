"""Alembic's entry: the connection is always handed in by darsena.db.migrate."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], transactional_ddl=False, transaction_per_migration=False
)
context.run_migrations()
