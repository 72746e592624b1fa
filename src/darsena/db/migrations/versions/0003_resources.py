"""Resource groups, registries, operations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0003_resources"
down_revision = "0002_identity"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "resource_group",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("subscription_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", BYTEWISE, nullable=False),
        sa.Column("location", sa.String, nullable=False),
        sa.Column("tags", sa.LargeBinary, nullable=False),
        sa.Column("managed_by", sa.String, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_resource_group"),
        sa.UniqueConstraint("subscription_id", "name_key", name="uq_resource_group_subscription_id_name_key"),
    )
    op.create_table(
        "registry",
        sa.Column("id", _ID, sa.Identity(), nullable=False),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("group_id", _ID, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", BYTEWISE, nullable=False),
        sa.Column("label", BYTEWISE, nullable=False),
        sa.Column("location", sa.String, nullable=False),
        sa.Column("sku", sa.String, nullable=False),
        sa.Column("tags", sa.LargeBinary, nullable=False),
        sa.Column("properties", sa.LargeBinary, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("created_by_kind", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("modified_by", sa.String, nullable=False),
        sa.Column("modified_by_kind", sa.String, nullable=False),
        sa.Column("modified_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry"),
        sa.ForeignKeyConstraint(["group_id"], ["resource_group.id"], name="fk_registry_group_id"),
        sa.UniqueConstraint("uid", name="uq_registry_uid"),
        sa.UniqueConstraint("name_key", name="uq_registry_name_key"),
        sa.UniqueConstraint("label", name="uq_registry_label"),
    )
    op.create_index("ix_registry_group_id_name_key", "registry", ["group_id", "name_key"])
    op.create_table(
        "operation",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("subscription_id", sa.String(36), nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("error", sa.String, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_operation"),
    )
    op.create_index("ix_operation_created_at", "operation", ["created_at"])
