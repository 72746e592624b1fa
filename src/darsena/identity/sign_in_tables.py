"""certificate, redirect_uri; sign_in, sign_in_code, device_code: what signing in needs beside a secret.

The last three are short-lived and not journaled. They name their principal without a foreign key: what is left of one
that was deleted is refused, and swept when its time is up.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from darsena.db import metadata

_ID = BigInteger().with_variant(Integer, "sqlite")

certificate = Table(
    "certificate",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("principal_id", _ID, ForeignKey("principal.id"), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("sha1", String(40), nullable=False),  # of the DER form, upper-case hexadecimal, as x5t has it
    Column("sha256", String(64), nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("principal_id", "sha256"),
    info={"journaled": True},
)

redirect_uri = Table(
    "redirect_uri",
    metadata,
    Column("principal_id", _ID, ForeignKey("principal.id"), primary_key=True),
    Column("uri", String, primary_key=True),
    info={"journaled": True},
)

sign_in = Table(
    "sign_in",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("principal_id", _ID, nullable=False),
    Column("credential", String(32), nullable=False),
    Column("version", BigInteger, nullable=False),  # the principal's, when it signed in
    Column("client_id", String(36), nullable=False),
    Column("scope", String, nullable=False),
    Column("generation", BigInteger, nullable=False),  # of the refresh token that is to be used next
    Column("rotated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "principal_id", "rotated_at"),
    Index(None, "expires_at"),
)

sign_in_code = Table(
    "sign_in_code",
    metadata,
    Column("hash", String, primary_key=True),
    Column("principal_id", _ID, nullable=False),
    Column("credential", String(32), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("client_id", String(36), nullable=False),
    Column("redirect_uri", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("challenge", String),
    Column("nonce", String),
    Column("sign_in_uid", String(32)),  # what it was redeemed for
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

device_code = Table(
    "device_code",
    metadata,
    Column("hash", String, primary_key=True),
    Column("user_code", String(16), nullable=False),
    Column("client_id", String(36), nullable=False),
    Column("scope", String, nullable=False),
    Column("status", String, nullable=False),
    Column("principal_id", _ID),
    Column("credential", String(32)),
    Column("version", BigInteger),
    Column("polled_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("user_code"),
    Index(None, "expires_at"),
)
