"""Runs of gc."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_gc"
down_revision = "0005_tasks"


def upgrade() -> None:
    op.create_table(
        "gc_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("registry_uid", sa.String(32)),
        sa.Column("grace_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("owner", sa.String),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("progress", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_gc_run"),
    )
