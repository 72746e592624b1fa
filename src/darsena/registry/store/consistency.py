"""SQL of fsck: rows page by page, and rows that point at what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, exists, insert, or_, select

from darsena.core.digest import Digest
from darsena.db import Tx
from darsena.registry.tables import blob, manifest, manifest_reference, repository, repository_blob, tag, upload

AT_MOST = 1000
"""What one statement tells of one repository; a page of findings is enough to know that it is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredManifest:
    media_type: str
    size: int
    sealed: bytes
    references: frozenset[Digest]


def list_repositories(tx: Tx, registry_uid: str, after_id: int, limit: int = 100) -> list[tuple[int, str]]:
    rows = tx.execute(
        select(repository.c.id, repository.c.name)
        .where(repository.c.registry_uid == registry_uid, repository.c.id > after_id)
        .order_by(repository.c.id)
        .limit(limit)
    )
    return [(row.id, row.name) for row in rows]


def list_blobs(tx: Tx, registry_uid: str, after: bytes, limit: int = 500) -> list[tuple[Digest, int]]:
    rows = tx.execute(
        select(blob.c.digest, blob.c.size)
        .where(blob.c.registry_uid == registry_uid, blob.c.digest > after)
        .order_by(blob.c.digest)
        .limit(limit)
    )
    return [(Digest.from_stored(row.digest), row.size) for row in rows]


def list_manifests(tx: Tx, repository_id: int, after: bytes, limit: int = 500) -> list[Digest]:
    rows = tx.execute(
        select(manifest.c.digest)
        .where(manifest.c.repository_id == repository_id, manifest.c.digest > after)
        .order_by(manifest.c.digest)
        .limit(limit)
    )
    return [Digest.from_stored(row.digest) for row in rows]


def find_manifest(tx: Tx, repository_id: int, digest: Digest) -> StoredManifest | None:
    """With its bytes and the references that are noted of it."""
    here = (manifest.c.repository_id == repository_id) & (manifest.c.digest == digest.stored)
    row = tx.execute(select(manifest.c.media_type, manifest.c.size, manifest.c.sealed).where(here)).first()
    if row is None:
        return None
    noted = select(manifest_reference.c.target).where(
        manifest_reference.c.repository_id == repository_id, manifest_reference.c.manifest == digest.stored
    )
    references = frozenset(Digest.from_stored(target) for target in tx.execute(noted).scalars())
    return StoredManifest(media_type=row.media_type, size=row.size, sealed=row.sealed, references=references)


def list_missing_references(tx: Tx, repository_id: int) -> list[tuple[Digest, Digest]]:
    """(manifest, target): a blob that has no row or no link here, a child that is no manifest here."""
    target = manifest_reference.c.target
    child = exists().where(manifest.c.repository_id == repository_id, manifest.c.digest == target)
    linked = exists().where(
        repository_blob.c.repository_id == repository_id,
        repository_blob.c.digest == target,
        blob.c.digest == target,
        blob.c.registry_uid == repository.c.registry_uid,
        repository.c.id == repository_id,
    )
    missing = or_(
        and_(manifest_reference.c.is_manifest, ~child.correlate(manifest_reference)),
        and_(manifest_reference.c.is_manifest.is_(False), ~linked.correlate(manifest_reference)),
    )
    rows = tx.execute(
        select(manifest_reference.c.manifest, target)
        .where(manifest_reference.c.repository_id == repository_id, missing)
        .limit(AT_MOST)
    )
    return [(Digest.from_stored(row.manifest), Digest.from_stored(row.target)) for row in rows]


def list_dangling_references(tx: Tx, repository_id: int) -> list[Digest]:
    """Manifests that references are noted of, and that are not there."""
    rows = tx.execute(
        select(manifest_reference.c.manifest)
        .where(manifest_reference.c.repository_id == repository_id, ~_manifest_of(manifest_reference.c.manifest))
        .distinct()
        .limit(AT_MOST)
    )
    return [Digest.from_stored(found) for found in rows.scalars()]


def list_dangling_tags(tx: Tx, repository_id: int) -> list[tuple[str, Digest]]:
    rows = tx.execute(
        select(tag.c.name, tag.c.digest)
        .where(
            tag.c.repository_id == repository_id,
            ~exists()
            .where(manifest.c.repository_id == tag.c.repository_id, manifest.c.digest == tag.c.digest)
            .correlate(tag),
        )
        .limit(AT_MOST)
    )
    return [(row.name, Digest.from_stored(row.digest)) for row in rows]


def list_dangling_links(tx: Tx, registry_uid: str, repository_id: int) -> list[Digest]:
    """Links to blobs without a row that no manifest of the repository needs."""
    digest = repository_blob.c.digest
    has_row = exists().where(blob.c.registry_uid == registry_uid, blob.c.digest == digest).correlate(repository_blob)
    rows = tx.execute(
        select(digest)
        .where(repository_blob.c.repository_id == repository_id, ~has_row, ~_is_referenced())
        .limit(AT_MOST)
    )
    return [Digest.from_stored(found) for found in rows.scalars()]


def list_uploads(tx: Tx, registry_uid: str, after: str, limit: int = 500) -> list[tuple[str, int]]:
    """(uid, created_at) of all, by uid."""
    rows = tx.execute(
        select(upload.c.uid, upload.c.created_at)
        .where(upload.c.registry_uid == registry_uid, upload.c.uid > after)
        .order_by(upload.c.uid)
        .limit(limit)
    )
    return [(row.uid, row.created_at) for row in rows]


# --- repairs ------------------------------------------------------------------------------------------------------


def remove_row(tx: Tx, registry_uid: str, digest: Digest) -> int | None:
    """A blob's row; returns its size. Its links stay, so that a push of the same bytes makes everything whole."""
    here = (blob.c.registry_uid == registry_uid) & (blob.c.digest == digest.stored)
    return tx.execute(delete(blob).where(here).returning(blob.c.size)).scalar()


def remove_dangling_links(tx: Tx, registry_uid: str, repository_id: int, digests: Sequence[Digest]) -> list[Digest]:
    still = set(list_dangling_links(tx, registry_uid, repository_id))
    going = [digest for digest in digests if digest in still]
    if going:
        stored = [digest.stored for digest in going]
        here = (repository_blob.c.repository_id == repository_id) & repository_blob.c.digest.in_(stored)
        tx.execute(delete(repository_blob).where(here))
    return going


def note_references(tx: Tx, repository_id: int, source: Digest, blobs: set[Digest], manifests: set[Digest]) -> None:
    """What the manifest itself says and was not noted; no fact that an observer could see."""
    values = [
        {"repository_id": repository_id, "manifest": source.stored, "target": target.stored, "is_manifest": is_child}
        for targets, is_child in ((blobs, False), (manifests, True))
        for target in targets
    ]
    tx.connection.execute(insert(manifest_reference), values)


def remove_dangling_references(tx: Tx, repository_id: int, source: Digest) -> None:
    here = (manifest_reference.c.repository_id == repository_id) & (manifest_reference.c.manifest == source.stored)
    tx.connection.execute(delete(manifest_reference).where(here, ~_manifest_of(manifest_reference.c.manifest)))


def _manifest_of(digest: ColumnElement[bytes]) -> ColumnElement[bool]:
    same = (manifest.c.repository_id == manifest_reference.c.repository_id) & (manifest.c.digest == digest)
    return exists().where(same).correlate(manifest_reference)


def _is_referenced() -> ColumnElement[bool]:
    same = (manifest_reference.c.repository_id == repository_blob.c.repository_id) & (
        manifest_reference.c.target == repository_blob.c.digest
    )
    return exists().where(same).correlate(repository_blob)
