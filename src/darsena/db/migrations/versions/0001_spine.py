"""The stamp, the journal, jobs, wrapped keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0001_spine"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "stamp",
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("subscription_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_stamp"),
    )
    op.create_table(
        "journal",
        sa.Column("stream", BYTEWISE, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("origin_region", sa.String, nullable=True),
        sa.Column("origin_seq", sa.BigInteger, nullable=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream", "seq", name="pk_journal"),
    )
    op.create_table(
        "journal_head",
        sa.Column("stream", BYTEWISE, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream", name="pk_journal_head"),
    )
    op.create_table(
        "cursor",
        sa.Column("reader", sa.String, nullable=False),
        sa.Column("stream", BYTEWISE, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("leased_by", sa.String, nullable=True),
        sa.Column("leased_until", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("reader", "stream", name="pk_cursor"),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("run_after", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("owner", sa.String, nullable=True),
        sa.Column("lease_until", sa.BigInteger, nullable=True),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("last_error", sa.String, nullable=True),
        sa.Column("finished_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("kind", "key", name="uq_job_kind_key"),
    )
    op.create_index("ix_job_status_run_after", "job", ["status", "run_after"])
    op.create_table(
        "data_key",
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_by", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_data_key"),
    )
