"""Repositories, manifests, tags, blobs, uploads."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from darsena.db.tables import BYTEWISE

revision = "0004_registry"
down_revision = "0003_resources"


def _locks() -> list[sa.Column[Any]]:
    return [
        sa.Column(name, sa.Boolean, nullable=False)
        for name in ("read_enabled", "write_enabled", "delete_enabled", "list_enabled")
    ]


def _of_repository(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name=f"fk_{table}_repository_id")


def upgrade() -> None:
    op.create_table(
        "repository",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        *_locks(),
        sa.PrimaryKeyConstraint("id", name="pk_repository"),
        sa.UniqueConstraint("registry_uid", "name", name="uq_repository_registry_uid_name"),
    )
    _create_manifests()
    op.create_table(
        "tag",
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("name", BYTEWISE, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        *_locks(),
        sa.PrimaryKeyConstraint("repository_id", "name", name="pk_tag"),
        _of_repository("tag"),
    )
    op.create_index("ix_tag_repository_id_digest", "tag", ["repository_id", "digest", "name"])
    op.create_index("ix_tag_repository_id_updated_at", "tag", ["repository_id", "updated_at", "name"])
    _create_blobs()


def _create_manifests() -> None:
    op.create_table(
        "manifest",
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("image_size", sa.BigInteger, nullable=False),
        sa.Column("config_media_type", sa.String),
        sa.Column("architecture", sa.String),
        sa.Column("os", sa.String),
        sa.Column("artifact_type", sa.String),
        sa.Column("subject", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        *_locks(),
        sa.Column("quarantine_state", sa.String),
        sa.Column("quarantine_details", sa.LargeBinary),
        sa.PrimaryKeyConstraint("repository_id", "digest", name="pk_manifest"),
        _of_repository("manifest"),
    )
    op.create_index("ix_manifest_repository_id_subject", "manifest", ["repository_id", "subject", "digest"])
    op.create_index("ix_manifest_repository_id_updated_at", "manifest", ["repository_id", "updated_at", "digest"])
    op.create_table(
        "manifest_reference",
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("manifest", sa.LargeBinary, nullable=False),
        sa.Column("target", sa.LargeBinary, nullable=False),
        sa.Column("is_manifest", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "manifest", "target", name="pk_manifest_reference"),
    )
    op.create_index("ix_manifest_reference_repository_id_target", "manifest_reference", ["repository_id", "target"])


def _create_blobs() -> None:
    op.create_table(
        "blob",
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("gc_marked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("registry_uid", "digest", name="pk_blob"),
    )
    op.create_table(
        "repository_blob",
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest", name="pk_repository_blob"),
        _of_repository("repository_blob"),
    )
    op.create_index("ix_repository_blob_digest", "repository_blob", ["digest"])
    op.create_table(
        "upload",
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("registry_uid", sa.String(32), nullable=False),
        sa.Column("repository", BYTEWISE, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_upload"),
    )
    op.create_index("ix_upload_expires_at", "upload", ["expires_at"])
