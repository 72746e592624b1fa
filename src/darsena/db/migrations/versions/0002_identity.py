"""Principals, credentials, role assignments, passwords that are shown again, run credentials, keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0002_identity"
down_revision = "0001_spine"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _principals()
    _registry_credentials()
    _keys()


def _principals() -> None:
    op.create_table(
        "principal",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("object_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("client_id", sa.String(36), nullable=True),
        sa.Column("user_name", BYTEWISE, nullable=True),
        sa.Column("registry_uid", sa.String(32), nullable=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_principal"),
        sa.UniqueConstraint("object_id", name="uq_principal_object_id"),
        sa.UniqueConstraint("client_id", name="uq_principal_client_id"),
        sa.UniqueConstraint("tenant_id", "user_name", name="uq_principal_tenant_id_user_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_principal_registry_uid_kind_name", "principal", ["registry_uid", "kind", "name"])
    op.create_table(
        "credential",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("principal_id", _ID, nullable=False),
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name="fk_credential_principal_id"),
        sa.UniqueConstraint("principal_id", "slot", name="uq_credential_principal_id_slot"),
    )
    op.create_table(
        "role_assignment",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("scope_key", BYTEWISE, nullable=False),
        sa.Column("principal_id", _ID, nullable=False),
        sa.Column("role_definition_id", sa.String(36), nullable=False),
        sa.Column("condition", sa.String, nullable=True),
        sa.Column("condition_version", sa.String, nullable=True),
        sa.Column("description", sa.String, nullable=True),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_role_assignment"),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name="fk_role_assignment_principal_id"),
        sa.UniqueConstraint(
            "principal_id",
            "role_definition_id",
            "scope_key",
            name="uq_role_assignment_principal_id_role_definition_id_scope_key",
        ),
    )
    op.create_index("ix_role_assignment_scope_key_id", "role_assignment", ["scope_key", "id"])


def _registry_credentials() -> None:
    op.create_table(
        "admin_password",
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("registry_uid", "slot", name="pk_admin_password"),
    )
    op.create_table(
        "run_credential",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("run_uid", sa.String(32), nullable=False),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run_credential"),
        sa.UniqueConstraint("run_uid", name="uq_run_credential_run_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_credential_registry_uid", "run_credential", ["registry_uid"])
    op.create_index("ix_run_credential_expires_at", "run_credential", ["expires_at"])


def _keys() -> None:
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String, nullable=False),
        sa.Column("use", sa.String, nullable=False),
        sa.Column("public", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_private", sa.LargeBinary, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("retire_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_key"),
    )
    op.create_table(
        "hash_key",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_hash_key"),
    )
