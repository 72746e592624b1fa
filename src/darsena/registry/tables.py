"""Rows of the data plane. Digests are stored as an algorithm byte and the raw digest; times are UTC microseconds.

In clear: names, tags, digests, sizes, media types. A manifest's own bytes are sealed with the registry's key.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from darsena.db import BYTEWISE, metadata

_ID = BigInteger().with_variant(Integer, "sqlite")
_JOURNALED = {"journaled": True}


def _locks() -> list[Column[bool]]:
    """The four attributes of a repository, tag or manifest; false forbids."""
    return [
        Column(name, Boolean, nullable=False)
        for name in ("read_enabled", "write_enabled", "delete_enabled", "list_enabled")
    ]


repository = Table(
    "repository",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("registry_uid", String(32), nullable=False),
    Column("name", BYTEWISE, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    *_locks(),
    UniqueConstraint("registry_uid", "name"),
    info=_JOURNALED,
)

manifest = Table(
    "manifest",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("media_type", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("image_size", BigInteger, nullable=False),
    Column("config_media_type", String),
    Column("architecture", String),
    Column("os", String),
    Column("artifact_type", String),
    Column("subject", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    *_locks(),
    Column("quarantine_state", String),
    Column("quarantine_details", LargeBinary),
    Index("ix_manifest_repository_id_subject", "repository_id", "subject", "digest"),
    Index("ix_manifest_repository_id_updated_at", "repository_id", "updated_at", "digest"),
    info=_JOURNALED,
)

manifest_reference = Table(
    "manifest_reference",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("manifest", LargeBinary, primary_key=True),
    Column("target", LargeBinary, primary_key=True),
    Column("is_manifest", Boolean, nullable=False),
    Index("ix_manifest_reference_repository_id_target", "repository_id", "target"),
    info=_JOURNALED,
)

tag = Table(
    "tag",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("name", BYTEWISE, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    *_locks(),
    Index("ix_tag_repository_id_digest", "repository_id", "digest", "name"),
    Index("ix_tag_repository_id_updated_at", "repository_id", "updated_at", "name"),
    info=_JOURNALED,
    sqlite_with_rowid=False,
)

blob = Table(
    "blob",
    metadata,
    Column("registry_uid", String(32), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("gc_marked_at", BigInteger),
    info=_JOURNALED,
)

repository_blob = Table(
    "repository_blob",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_repository_blob_digest", "digest"),
    info=_JOURNALED,
)

upload = Table(
    "upload",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("registry_uid", String(32), nullable=False),
    Column("repository", BYTEWISE, nullable=False),
    Column("principal", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_upload_expires_at", "expires_at"),
)
"""The durable offset is the store's: it knows what it has synced."""

gc_run = Table(
    "gc_run",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("registry_uid", String(32)),
    Column("grace_us", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("owner", String),
    Column("lease_until", BigInteger),
    Column("progress", LargeBinary, nullable=False),
    Column("error", String),
)
"""Runs of gc, the last ones kept; `registry_uid` NULL: of all registries."""

pull_count = Table(
    "pull_count",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("reference", BYTEWISE, primary_key=True),
    Column("pulls", BigInteger, nullable=False),
    Column("last_pull_at", BigInteger, nullable=False),
)
"""Of a manifest (its digest as text) and, under the empty reference, of the whole repository."""

untagged = Table(
    "untagged",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Index("ix_untagged_repository_id_since", "repository_id", "since", "digest"),
)
"""Manifests that lost their last tag, and when: what the retention policy looks at."""

registry_size = Table(
    "registry_size",
    metadata,
    Column("registry_uid", String(32), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
)
"""The bytes of a registry's blobs, each once: the tier's limit is held against it where a blob is added."""
