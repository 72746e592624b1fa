"""scope_map, repository_token. A token's password hashes stand in `credential`, its status in `principal`."""

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

scope_map = Table(
    "scope_map",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("registry_uid", String(32), nullable=False),
    Column("name", String, nullable=False),
    Column("name_key", BYTEWISE, nullable=False),  # lower case: ARM names compare without it
    Column("description", String),
    Column("actions", LargeBinary, nullable=False),  # a JSON list, in the order given
    Column("authors", LargeBinary, nullable=False),  # JSON: who made and who last changed it, and when
    UniqueConstraint("registry_uid", "name_key"),
    info={"journaled": True},
)

repository_token = Table(
    "repository_token",
    metadata,
    Column("principal_id", _ID, ForeignKey("principal.id"), primary_key=True, autoincrement=False),
    Column("registry_uid", String(32), nullable=False),
    Column("name_key", BYTEWISE, nullable=False),
    Column("scope_map", String, nullable=False),
    # The name_key of a row, or of a system scope map, which has none.
    Column("scope_map_key", BYTEWISE, nullable=False),
    Column("certificates", LargeBinary, nullable=False),  # a JSON list
    Column("authors", LargeBinary, nullable=False),
    UniqueConstraint("registry_uid", "name_key"),
    Index(None, "registry_uid", "scope_map_key"),
    info={"journaled": True},
)
