"""journal(stream, seq, …), journal_head(stream, seq, floor), cursor(reader, stream, seq, lease)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from darsena.db import BYTEWISE, metadata

journal = Table(
    "journal",
    metadata,
    Column("stream", BYTEWISE, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("origin_region", String),
    Column("origin_seq", BigInteger),
    Column("at", BigInteger, nullable=False),
    Column("address", String),  # of the client, where one asked
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("stream", BYTEWISE, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
)

cursor = Table(
    "cursor",
    metadata,
    Column("reader", String, primary_key=True),
    Column("stream", BYTEWISE, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("leased_by", String),
    Column("leased_until", BigInteger),
)
