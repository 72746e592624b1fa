"""resource_group, registry, operation. ARM ids are rendered from these rows, never stored."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from darsena.db import BYTEWISE, metadata

_ID = BigInteger().with_variant(Integer, "sqlite")

resource_group = Table(
    "resource_group",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("subscription_id", String(36), nullable=False),
    Column("name", String, nullable=False),
    Column("name_key", BYTEWISE, nullable=False),
    Column("location", String, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("managed_by", String),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("subscription_id", "name_key"),
    info={"journaled": True},
)

registry = Table(
    "registry",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("group_id", _ID, ForeignKey("resource_group.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("name_key", BYTEWISE, nullable=False),
    Column("label", BYTEWISE, nullable=False),
    Column("location", String, nullable=False),
    Column("sku", String, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("properties", LargeBinary, nullable=False),
    Column("created_by", String, nullable=False),
    Column("created_by_kind", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("modified_by", String, nullable=False),
    Column("modified_by_kind", String, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("uid"),
    UniqueConstraint("name_key"),
    UniqueConstraint("label"),
    Index(None, "group_id", "name_key"),
    info={"journaled": True},
)

operation = Table(
    "operation",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subscription_id", String(36), nullable=False),
    Column("status", String, nullable=False),
    Column("error", String),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "created_at"),
)
