"""Rows of `blob` (a registry's bytes) and `repository_blob` (which repositories may serve them)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, bindparam, delete, select, update

from darsena.core.digest import Digest
from darsena.db import Prepared, Tx
from darsena.db.dialects import prepare_insert_ignore
from darsena.registry.tables import blob, repository, repository_blob

_CHUNK = 500

# What a push runs is built once: building a statement costs several times what running it does.
_HERE = (blob.c.registry_uid == bindparam("registry")) & (blob.c.digest == bindparam("which"))
_ADD = Prepared(prepare_insert_ignore(blob))
_KEEP = update(blob).where(_HERE).values(gc_marked_at=None)
_LINK = Prepared(prepare_insert_ignore(repository_blob))
_LINKED_SIZE = Prepared(
    select(blob.c.size)
    .join(repository_blob, repository_blob.c.digest == blob.c.digest)
    .where(
        repository_blob.c.repository_id == bindparam("repository"),
        repository_blob.c.digest == bindparam("which"),
        blob.c.registry_uid == bindparam("registry"),
    )
)
_NAMED = Prepared(
    select(repository.c.read_enabled, blob.c.size, blob.c.gc_marked_at)
    .outerjoin_from(
        repository,
        repository_blob,
        (repository_blob.c.repository_id == repository.c.id) & (repository_blob.c.digest == bindparam("which")),
    )
    .outerjoin(blob, (blob.c.registry_uid == repository.c.registry_uid) & (blob.c.digest == repository_blob.c.digest))
    .where(repository.c.registry_uid == bindparam("registry"), repository.c.name == bindparam("name"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBlob:
    """A repository, and what it may serve under a digest."""

    is_readable: bool
    size: int | None
    """None: it has no such blob."""
    is_marked: bool
    """gc means to remove it, unless somebody asks for it before."""


@functools.cache
def _linked(count: int) -> Prepared:
    """Asks for so many digests."""
    digests: list[BindParameter[bytes]] = [bindparam(f"digest_{place}") for place in range(count)]
    return Prepared(
        select(repository_blob.c.digest)
        .join(repository, repository.c.id == repository_blob.c.repository_id)
        .join(blob, (blob.c.registry_uid == repository.c.registry_uid) & (blob.c.digest == repository_blob.c.digest))
        .where(repository_blob.c.repository_id == bindparam("repository"), repository_blob.c.digest.in_(digests))
    )


def find_size(tx: Tx, registry_uid: str, digest: Digest) -> int | None:
    """Bytes of a blob that the registry has, in whatever repository."""
    return tx.execute(
        select(blob.c.size).where(blob.c.registry_uid == registry_uid, blob.c.digest == digest.stored)
    ).scalar()


def find_linked_size(tx: Tx, registry_uid: str, repository_id: int, digest: Digest) -> int | None:
    """Bytes of a blob that this repository may serve."""
    here = {"repository": repository_id, "which": digest.stored, "registry": registry_uid}
    return tx.run(_LINKED_SIZE, here).scalar()


def find_named(tx: Tx, registry_uid: str, name: str, digest: Digest) -> NamedBlob | None:
    """Of the repository of this name, by one statement; None when there is no such repository."""
    row = tx.run(_NAMED, {"registry": registry_uid, "name": str(name), "which": digest.stored}).first()
    if row is None:
        return None
    return NamedBlob(is_readable=row.read_enabled, size=row.size, is_marked=row.gc_marked_at is not None)


def add(tx: Tx, registry_uid: str, digest: Digest, size: int) -> bool:
    """Note that the registry has these bytes; clears a mark of gc. Returns whether it is new."""
    values = {"registry_uid": registry_uid, "digest": digest.stored, "size": size, "created_at": tx.now_us}
    while tx.run(_ADD, values).count != 1:
        if keep(tx, registry_uid, digest):
            return False
        # gc removed the row between the two statements (PostgreSQL only): it is new again
    return True


def keep(tx: Tx, registry_uid: str, digest: Digest) -> bool:
    """Clear a mark of gc and hold the row until commit; False when there is no such row (any more)."""
    here = {"registry": registry_uid, "which": digest.stored}
    return tx.connection.execute(_KEEP, here).rowcount == 1  # gc's own note, not a fact for the journal


def link(tx: Tx, repository_id: int, digest: Digest) -> bool:
    """Let the repository serve it; returns whether that is new."""
    values = {"repository_id": repository_id, "digest": digest.stored, "created_at": tx.now_us}
    return tx.run(_LINK, values).count == 1


def unlink(tx: Tx, repository_id: int, digest: Digest) -> bool:
    here = (repository_blob.c.repository_id == repository_id) & (repository_blob.c.digest == digest.stored)
    return tx.execute(delete(repository_blob).where(here)).rowcount == 1


def unlink_all(tx: Tx, repository_id: int) -> None:
    tx.execute(delete(repository_blob).where(repository_blob.c.repository_id == repository_id))


def list_linked(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> set[Digest]:
    """Which of these blobs the repository may serve; not those whose bytes were lost (see fsck)."""
    linked: set[Digest] = set()
    for start in range(0, len(digests), _CHUNK):
        part = [digest.stored for digest in digests[start : start + _CHUNK]]
        part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))  # a few lengths, each built once
        asked = {f"digest_{place}": stored for place, stored in enumerate(part)}
        rows = tx.run(_linked(len(part)), {"repository": repository_id, **asked})
        linked |= {Digest.from_stored(row.digest) for row in rows}
    return linked


def list_repositories_with(tx: Tx, registry_uid: str, digest: Digest, after: str = "", limit: int = 500) -> list[str]:
    """Names of repositories of the registry that may serve it, by bytes, beginning after `after`."""
    rows = tx.execute(
        select(repository.c.name)
        .join(repository_blob, repository_blob.c.repository_id == repository.c.id)
        .where(
            repository_blob.c.digest == digest.stored,
            repository.c.registry_uid == registry_uid,
            repository.c.name > after,
        )
        .order_by(repository.c.name)
        .limit(limit)
    )
    return [row.name for row in rows]


def remove_all(tx: Tx, registry_uid: str) -> None:
    tx.execute(delete(blob).where(blob.c.registry_uid == registry_uid))
