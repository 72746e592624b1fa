"""usage(registry_uid, …): what each registry holds, as far as the journal has been read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from darsena.db import metadata

usage = Table(
    "usage",
    metadata,
    Column("registry_uid", String(32), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("blobs", BigInteger, nullable=False),
    Column("manifests", BigInteger, nullable=False),
    Column("repositories", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
