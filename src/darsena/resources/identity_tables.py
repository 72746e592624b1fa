"""user_identity: user-assigned managed identities. Their principals are identity's."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from darsena.db import BYTEWISE, metadata

_ID = BigInteger().with_variant(Integer, "sqlite")

user_identity = Table(
    "user_identity",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("group_id", _ID, ForeignKey("resource_group.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("name_key", BYTEWISE, nullable=False),
    Column("location", String, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("object_id", String(36), nullable=False),
    Column("client_id", String(36), nullable=False),
    Column("created_by", String, nullable=False),
    Column("created_by_kind", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("modified_by", String, nullable=False),
    Column("modified_by_kind", String, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    UniqueConstraint("group_id", "name_key"),
    info={"journaled": True},
)
