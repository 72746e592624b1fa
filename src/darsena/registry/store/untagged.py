"""Rows of `untagged`: manifests that lost their last tag, for the retention policy. No facts for the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, exists, select, tuple_

from darsena.core.digest import Digest
from darsena.core.media_types import DOCKER_LIST, DOCKER_MANIFEST
from darsena.core.names import RepositoryName
from darsena.db import Tx
from darsena.db.dialects import upsert
from darsena.registry.tables import manifest, manifest_reference, repository, tag, untagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A manifest whose time is over."""

    repository_id: int
    repository: RepositoryName
    since_us: int
    digest: Digest


START: Final = Due(repository_id=0, repository=RepositoryName(""), since_us=0, digest=Digest.of(b""))
"""Before the first."""


def note(tx: Tx, repository_id: int, digest: Digest) -> None:
    """A tag stopped naming this manifest; if it was the last one, its time runs from now."""
    named = select(tag.c.name).where(tag.c.repository_id == repository_id, tag.c.digest == digest.stored).limit(1)
    if tx.execute(named).first() is None:
        values = {"repository_id": repository_id, "digest": digest.stored, "since": tx.now_us}
        tx.execute(upsert(tx.dialect, untagged, values, key=["repository_id", "digest"], update=["since"]))


def remove(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> None:
    """They have a tag, or are gone."""
    stored = [digest.stored for digest in digests]
    tx.execute(delete(untagged).where(untagged.c.repository_id == repository_id, untagged.c.digest.in_(stored)))


def remove_all(tx: Tx, repository_id: int) -> None:
    tx.execute(delete(untagged).where(untagged.c.repository_id == repository_id))


def list_due(tx: Tx, registry_uid: str, since_us: int, before_us: int, after: Due, limit: int) -> list[Due]:
    """Those whose last tag went between the two times, by repository and time, beginning after `after`."""
    key = tuple_(untagged.c.repository_id, untagged.c.since, untagged.c.digest)
    rows = tx.execute(
        select(untagged, repository.c.name)
        .join(repository, repository.c.id == untagged.c.repository_id)
        .where(
            repository.c.registry_uid == registry_uid,
            untagged.c.since.between(since_us, before_us),
            key > tuple_(after.repository_id, after.since_us, after.digest.stored),
        )
        .order_by(untagged.c.repository_id, untagged.c.since, untagged.c.digest)
        .limit(limit)
    )
    return [
        Due(
            repository_id=row.repository_id,
            repository=RepositoryName(row.name),
            since_us=row.since,
            digest=Digest.from_stored(row.digest),
        )
        for row in rows
    ]


def list_removable(
    tx: Tx, repository_id: int, digests: Sequence[Digest], since_us: int, before_us: int
) -> list[Digest]:
    """Which of these are due still, of Docker's types, not locked, without a tag, and in no index."""
    named = exists().where(tag.c.repository_id == repository_id, tag.c.digest == manifest.c.digest)
    listed = exists().where(
        manifest_reference.c.repository_id == repository_id,
        manifest_reference.c.target == manifest.c.digest,
        manifest_reference.c.is_manifest,
    )
    found = tx.execute(
        select(manifest.c.digest)
        .join(
            untagged,
            (untagged.c.repository_id == manifest.c.repository_id) & (untagged.c.digest == manifest.c.digest),
        )
        .where(
            manifest.c.repository_id == repository_id,
            manifest.c.digest.in_([digest.stored for digest in digests]),
            untagged.c.since.between(since_us, before_us),
            manifest.c.write_enabled,
            manifest.c.delete_enabled,
            manifest.c.media_type.in_([DOCKER_MANIFEST, DOCKER_LIST]),
            ~named.correlate(manifest),
            ~listed.correlate(manifest),
        )
    )
    return [Digest.from_stored(stored) for stored in found.scalars()]
