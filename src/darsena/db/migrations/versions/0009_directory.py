"""People, service principals and managed identities: certificates, sign-ins, user-assigned identities."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0009_directory"
down_revision = "0008_pulls"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _certificates()
    _sign_ins()
    _codes()
    _identities()


def _certificates() -> None:
    op.create_table(
        "certificate",
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("principal_id", _ID, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("sha1", sa.String(40), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_certificate"),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name="fk_certificate_principal_id"),
        sa.UniqueConstraint("principal_id", "sha256", name="uq_certificate_principal_id_sha256"),
    )
    op.create_table(
        "redirect_uri",
        sa.Column("principal_id", _ID, nullable=False),
        sa.Column("uri", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "uri", name="pk_redirect_uri"),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name="fk_redirect_uri_principal_id"),
    )


def _sign_ins() -> None:
    op.create_table(
        "sign_in",
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("principal_id", _ID, nullable=False),
        sa.Column("credential", sa.String(32), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("rotated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_sign_in"),
    )
    op.create_index("ix_sign_in_principal_id_rotated_at", "sign_in", ["principal_id", "rotated_at"])
    op.create_index("ix_sign_in_expires_at", "sign_in", ["expires_at"])


def _codes() -> None:
    op.create_table(
        "sign_in_code",
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("principal_id", _ID, nullable=False),
        sa.Column("credential", sa.String(32), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("redirect_uri", sa.String, nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("challenge", sa.String, nullable=True),
        sa.Column("nonce", sa.String, nullable=True),
        sa.Column("sign_in_uid", sa.String(32), nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_sign_in_code"),
    )
    op.create_index("ix_sign_in_code_expires_at", "sign_in_code", ["expires_at"])
    op.create_table(
        "device_code",
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("user_code", sa.String(16), nullable=False),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("principal_id", _ID, nullable=True),
        sa.Column("credential", sa.String(32), nullable=True),
        sa.Column("version", sa.BigInteger, nullable=True),
        sa.Column("polled_at", sa.BigInteger, nullable=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_device_code"),
        sa.UniqueConstraint("user_code", name="uq_device_code_user_code"),
    )
    op.create_index("ix_device_code_expires_at", "device_code", ["expires_at"])


def _identities() -> None:
    op.create_table(
        "user_identity",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("group_id", _ID, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", BYTEWISE, nullable=False),
        sa.Column("location", sa.String, nullable=False),
        sa.Column("tags", sa.LargeBinary, nullable=False),
        sa.Column("object_id", sa.String(36), nullable=False),
        sa.Column("client_id", sa.String(36), nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("created_by_kind", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("modified_by", sa.String, nullable=False),
        sa.Column("modified_by_kind", sa.String, nullable=False),
        sa.Column("modified_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_identity"),
        sa.ForeignKeyConstraint(["group_id"], ["resource_group.id"], name="fk_user_identity_group_id"),
        sa.UniqueConstraint("group_id", "name_key", name="uq_user_identity_group_id_name_key"),
    )
