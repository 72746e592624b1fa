"""principal, credential, role_assignment; admin_password, run_credential; signing_key, hash_key."""

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

ENABLED = "enabled"
DISABLED = "disabled"
"""What `principal.status` may be."""

principal = Table(
    "principal",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("tenant_id", String(36), nullable=False),
    Column("object_id", String(36), nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("client_id", String(36)),
    Column("user_name", BYTEWISE),  # what a person signs in with, lower case
    Column("registry_uid", String(32)),  # of kinds that live and die with one registry
    Column("status", String, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("object_id"),
    UniqueConstraint("client_id"),
    UniqueConstraint("tenant_id", "user_name"),
    Index(None, "registry_uid", "kind", "name"),
    info={"journaled": True},
    sqlite_autoincrement=True,  # an id is never used again: tokens name it
)

credential = Table(
    "credential",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("principal_id", _ID, ForeignKey("principal.id"), nullable=False),
    Column("slot", String, nullable=False),
    Column("hash", String, nullable=False),
    Column("expires_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("principal_id", "slot"),
    info={"journaled": True},
)

role_assignment = Table(
    "role_assignment",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("scope", String, nullable=False),
    Column("scope_key", BYTEWISE, nullable=False),  # lower case: ARM ids compare without case
    Column("principal_id", _ID, ForeignKey("principal.id"), nullable=False),
    Column("role_definition_id", String(36), nullable=False),
    Column("condition", String),
    Column("condition_version", String),
    Column("description", String),
    Column("created_by", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_by", String),  # both null until it is changed
    Column("updated_at", BigInteger),
    UniqueConstraint("principal_id", "role_definition_id", "scope_key"),
    Index(None, "scope_key", "id"),
    info={"journaled": True},
)

admin_password = Table(
    "admin_password",
    metadata,
    Column("registry_uid", String(32), primary_key=True),
    Column("slot", String, primary_key=True),
    Column("uid", String(32), nullable=False),  # a new one with every value
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

run_credential = Table(
    "run_credential",
    metadata,
    Column("id", _ID, Identity(), primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("run_uid", String(32), nullable=False),
    Column("registry_uid", String(32), nullable=False),
    Column("hash", String, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("caller", String(36)),  # the object id of who scheduled the run, where its rights are the run's
    UniqueConstraint("run_uid"),
    Index(None, "registry_uid"),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("kid", String, primary_key=True),
    Column("use", String, nullable=False),
    Column("public", LargeBinary, nullable=False),  # a JWK
    Column("wrapped_private", LargeBinary, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("retire_at", BigInteger, nullable=False),
)

hash_key = Table(
    "hash_key",
    metadata,
    Column("name", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
