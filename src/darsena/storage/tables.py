"""data_key(owner, wrapped, wrapped_by, created_at): the data keys, never in clear."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from darsena.db import metadata

data_key = Table(
    "data_key",
    metadata,
    Column("owner", String(32), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("wrapped_by", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
