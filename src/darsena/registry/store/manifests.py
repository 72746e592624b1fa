"""Rows of `manifest` and `manifest_reference`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, insert, or_, select, tuple_, update

from darsena.core.digest import Digest, text_of_stored
from darsena.db import Prepared, Tx
from darsena.db.dialects import insert_rows
from darsena.registry.document import Document
from darsena.registry.model import PASSED, Manifest, OrderBy
from darsena.registry.store import pulls, untagged
from darsena.registry.store.repositories import attributes_of
from darsena.registry.tables import manifest, manifest_reference

_CHUNK = 500
_LIGHT = select(*(column for column in manifest.c if column.name not in ("sealed", "quarantine_details")))
"""Without the contents, which may be 4 MiB each."""
_IS_RELEASED = or_(manifest.c.quarantine_state.is_(None), manifest.c.quarantine_state == PASSED)


_HERE = and_(manifest.c.repository_id == bindparam("repository"), manifest.c.digest == bindparam("which"))
_FIND = Prepared(_LIGHT.where(_HERE))
_SEALED = select(manifest.c.sealed).where(_HERE)
_INSERT = Prepared(insert(manifest))
_REFER = insert(manifest_reference)
_REFERENCE = ("repository_id", "manifest", "target", "is_manifest")


def find(tx: Tx, repository_id: int, digest: Digest) -> Manifest | None:
    row = tx.run(_FIND, {"repository": repository_id, "which": digest.stored}).first()
    return None if row is None else _manifest(row)


def get_sealed(tx: Tx, repository_id: int, digest: Digest) -> bytes:
    """The content of a manifest that is there, as it stands in the column."""
    return tx.execute(_SEALED, {"repository": repository_id, "which": digest.stored}).scalar_one()


def find_quarantine_details(tx: Tx, repository_id: int, digest: Digest) -> bytes | None:
    """Sealed, as it stands in the column."""
    return tx.execute(select(manifest.c.quarantine_details).where(_here(repository_id, digest))).scalar()


def insert_new(
    tx: Tx,
    repository_id: int,
    document: Document,
    sealed: bytes,
    platform: tuple[str | None, str | None],
    foreign: Iterable[Digest],
    quarantine_state: str | None = None,
) -> None:
    """With its references; `foreign` are those of the document's that the repository has."""
    locks = {"read_enabled": True, "write_enabled": True, "delete_enabled": True, "list_enabled": True}
    tx.run(
        _INSERT,
        {
            "repository_id": repository_id,
            "digest": document.digest.stored,
            "media_type": document.media_type,
            "size": document.size,
            "sealed": sealed,
            "image_size": document.image_size,
            "config_media_type": document.config_media_type,
            "architecture": platform[0],
            "os": platform[1],
            "artifact_type": document.artifact_type,
            "subject": None if document.subject is None else document.subject.stored,
            "created_at": tx.now_us,
            "updated_at": tx.now_us,
            "quarantine_state": quarantine_state,
            **locks,
        },
    )
    targets = dict.fromkeys((*document.blobs, *foreign), False) | dict.fromkeys(document.manifests, True)
    stored = document.digest.stored
    references = [(repository_id, stored, target.stored, is_manifest) for target, is_manifest in targets.items()]
    if references:
        insert_rows(tx.connection, _REFER, _REFERENCE, references)


def remove(tx: Tx, repository_id: int, digest: Digest) -> None:
    """With its references and what was noted of it."""
    here = and_(manifest_reference.c.repository_id == repository_id, manifest_reference.c.manifest == digest.stored)
    tx.execute(delete(manifest_reference).where(here))
    tx.execute(delete(manifest).where(_here(repository_id, digest)))
    untagged.remove(tx, repository_id, [digest])
    pulls.remove(tx, repository_id, [str(digest)])


def remove_many(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> list[Manifest]:
    """As `remove` does, at once; returns what they were."""
    stored = [digest.stored for digest in digests]
    here = and_(manifest.c.repository_id == repository_id, manifest.c.digest.in_(stored))
    gone = [_manifest(row) for row in tx.execute(_LIGHT.where(here))]
    references = manifest_reference.c.manifest.in_(stored)
    tx.execute(delete(manifest_reference).where(manifest_reference.c.repository_id == repository_id, references))
    tx.execute(delete(manifest).where(here))
    untagged.remove(tx, repository_id, digests)
    pulls.remove(tx, repository_id, [str(digest) for digest in digests])
    return gone


def remove_all(tx: Tx, repository_id: int) -> None:
    tx.execute(delete(manifest_reference).where(manifest_reference.c.repository_id == repository_id))
    tx.execute(delete(manifest).where(manifest.c.repository_id == repository_id))
    untagged.remove_all(tx, repository_id)


def set_attributes(tx: Tx, repository_id: int, digest: Digest, changes: Mapping[str, Any]) -> None:
    tx.execute(update(manifest).where(_here(repository_id, digest)).values(**changes, updated_at=tx.now_us))


def list_known(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> set[Digest]:
    """Which of these manifests the repository has."""
    known: set[Digest] = set()
    for part in _chunks(digests):
        rows = tx.execute(
            select(manifest.c.digest).where(
                manifest.c.repository_id == repository_id, manifest.c.digest.in_([digest.stored for digest in part])
            )
        )
        known |= {Digest.from_stored(row.digest) for row in rows}
    return known


def list_brief(tx: Tx, repository_id: int) -> list[tuple[str, str, int]]:
    """(digest, media type, size) of all, the oldest first: as little as can be, where there may be many."""
    statement = select(manifest.c.digest, manifest.c.media_type, manifest.c.size)
    rows = tx.execute(statement.where(manifest.c.repository_id == repository_id).order_by(manifest.c.created_at))
    return [(text_of_stored(row.digest), row.media_type, row.size) for row in rows]


def find_locked(tx: Tx, repository_id: int) -> Manifest | None:
    """One that may not be deleted."""
    is_locked = or_(manifest.c.delete_enabled.is_(False), manifest.c.write_enabled.is_(False))
    row = tx.execute(_LIGHT.where(manifest.c.repository_id == repository_id, is_locked).limit(1)).first()
    return None if row is None else _manifest(row)


def list_referrers(
    tx: Tx,
    repository_id: int,
    subject: Digest,
    *,
    artifact_type: str | None = None,
    last: Digest | None = None,
    limit: int = 1000,
    hide_quarantined: bool = False,
) -> list[Manifest]:
    """Manifests whose subject is this digest, by digest, beginning after `last`."""
    statement = _LIGHT.where(manifest.c.repository_id == repository_id, manifest.c.subject == subject.stored)
    if artifact_type is not None:
        statement = statement.where(manifest.c.artifact_type == artifact_type)
    if hide_quarantined:
        statement = statement.where(_IS_RELEASED)
    if last is not None:
        statement = statement.where(manifest.c.digest > last.stored)
    return [_manifest(row) for row in tx.execute(statement.order_by(manifest.c.digest).limit(limit))]


def list_subjects(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> set[Digest]:
    """Which of these are the subject of a manifest that is there."""
    stored = [digest.stored for digest in digests]
    here = and_(manifest.c.repository_id == repository_id, manifest.c.subject.in_(stored))
    return {Digest.from_stored(found) for found in tx.execute(select(manifest.c.subject).where(here)).scalars()}


def list_parents(tx: Tx, repository_id: int, digest: Digest) -> list[Digest]:
    """Indexes that list this manifest."""
    rows = tx.execute(
        select(manifest_reference.c.manifest).where(
            manifest_reference.c.repository_id == repository_id,
            manifest_reference.c.target == digest.stored,
            manifest_reference.c.is_manifest,
        )
    )
    return [Digest.from_stored(row.manifest) for row in rows]


def is_blob_referenced(tx: Tx, repository_id: int, digest: Digest) -> bool:
    found = tx.execute(
        select(manifest_reference.c.manifest)
        .where(
            manifest_reference.c.repository_id == repository_id,
            manifest_reference.c.target == digest.stored,
            manifest_reference.c.is_manifest.is_(False),
        )
        .limit(1)
    )
    return found.first() is not None


def list_page(
    tx: Tx,
    repository_id: int,
    *,
    last: Digest | None,
    limit: int,
    order: OrderBy,
    hide_quarantined: bool = False,
) -> list[Manifest]:
    """Listed ones by digest, or by time; ordered by time, `last` is still the digest of the last item seen."""
    statement = _LIGHT.where(manifest.c.repository_id == repository_id, manifest.c.list_enabled)
    if hide_quarantined:
        statement = statement.where(_IS_RELEASED)
    if order == "none":
        if last is not None:
            statement = statement.where(manifest.c.digest > last.stored)
        statement = statement.order_by(manifest.c.digest)
    else:
        statement = _by_time(tx, statement, repository_id, last, order)
    return [_manifest(row) for row in tx.execute(statement.limit(limit))]


def _by_time(tx: Tx, statement: Select[Any], repository_id: int, last: Digest | None, order: OrderBy) -> Select[Any]:
    """Row values are compared, so that the index gives the page however deep it lies."""
    seen = find(tx, repository_id, last) if last is not None else None
    updated, digest = manifest.c.updated_at, manifest.c.digest
    key, here = tuple_(updated, digest), None if seen is None else tuple_(seen.updated_us, seen.digest.stored)
    if order == "timeasc":
        return (statement if here is None else statement.where(key > here)).order_by(updated, digest)
    statement = statement if here is None else statement.where(key < here)
    return statement.order_by(updated.desc(), digest.desc())


def _here(repository_id: int, digest: Digest) -> ColumnElement[bool]:
    return and_(manifest.c.repository_id == repository_id, manifest.c.digest == digest.stored)


def _chunks(digests: Sequence[Digest]) -> Iterable[Sequence[Digest]]:
    for start in range(0, len(digests), _CHUNK):
        yield digests[start : start + _CHUNK]


def _manifest(row: Row[Any]) -> Manifest:
    return Manifest(
        digest=Digest.from_stored(row.digest),
        media_type=row.media_type,
        size=row.size,
        image_size=row.image_size,
        config_media_type=row.config_media_type,
        architecture=row.architecture,
        os=row.os,
        artifact_type=row.artifact_type,
        subject=None if row.subject is None else Digest.from_stored(row.subject),
        created_us=row.created_at,
        updated_us=row.updated_at,
        attributes=attributes_of(row),
        quarantine_state=row.quarantine_state,
    )
