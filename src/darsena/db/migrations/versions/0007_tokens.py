"""Scope maps and repository tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0007_tokens"
down_revision = "0006_gc"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "scope_map",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", BYTEWISE, nullable=False),
        sa.Column("description", sa.String),
        sa.Column("actions", sa.LargeBinary, nullable=False),
        sa.Column("authors", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scope_map"),
        sa.UniqueConstraint("registry_uid", "name_key", name="uq_scope_map_registry_uid_name_key"),
    )
    op.create_table(
        "repository_token",
        sa.Column("principal_id", _ID, nullable=False, autoincrement=False),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("name_key", BYTEWISE, nullable=False),
        sa.Column("scope_map", sa.String, nullable=False),
        sa.Column("scope_map_key", BYTEWISE, nullable=False),
        sa.Column("certificates", sa.LargeBinary, nullable=False),
        sa.Column("authors", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("principal_id", name="pk_repository_token"),
        sa.ForeignKeyConstraint(["principal_id"], ["principal.id"], name="fk_repository_token_principal_id_principal"),
        sa.UniqueConstraint("registry_uid", "name_key", name="uq_repository_token_registry_uid_name_key"),
    )
    op.create_index(
        "ix_repository_token_registry_uid_scope_map_key", "repository_token", ["registry_uid", "scope_map_key"]
    )
