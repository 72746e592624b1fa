"""job(id, kind, key, body, run_after, attempt, owner, lease_until, fence, status, last_error, finished_at)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from darsena.db import metadata

job = Table(
    "job",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("run_after", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("owner", String),
    Column("lease_until", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("last_error", String),
    Column("finished_at", BigInteger),
    UniqueConstraint("kind", "key"),
    Index(None, "status", "run_after"),
)
