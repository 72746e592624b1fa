"""SQL of gc: which blobs and links nothing needs, their marks, and their removal.

A link (`repository_blob`) is unused when no manifest of its repository references the blob. A blob is garbage when it
has a link that is unused and old, or none at all. Whatever a manifest references is linked in its repository, so a blob
without used links is needed by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, and_, delete, exists, func, or_, select, update

from darsena.core.digest import Digest
from darsena.db import Tx
from darsena.db.dialects import lock_for_update
from darsena.registry.tables import blob, manifest_reference, repository, repository_blob, upload

_LINKS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A blob with what would go of it."""

    digest: Digest
    size: int
    marked_us: int | None
    links: int
    """Links that nothing uses."""
    is_whole: bool
    """No other link stays, so the blob itself goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    unlinked: list[tuple[str, Digest]]
    """(repository, digest) of links that are gone."""
    removed: list[tuple[Digest, int]]
    """(digest, size) of blobs whose rows are gone."""


def find_bound(tx: Tx, registry_uid: str, after: bytes, step: int) -> bytes | None:
    """The digest `step` blobs after this one; None when fewer follow. It keeps what one statement reads small."""
    statement = select(blob.c.digest).where(blob.c.registry_uid == registry_uid, blob.c.digest > after)
    return tx.execute(statement.order_by(blob.c.digest).offset(step - 1).limit(1)).scalar()


def count_after(tx: Tx, registry_uid: str, after: bytes) -> int:
    statement = select(func.count()).select_from(blob).where(blob.c.registry_uid == registry_uid, blob.c.digest > after)
    return tx.execute(statement).scalar_one()


def list_garbage(tx: Tx, registry_uid: str, after: bytes, upto: bytes | None, before_us: int) -> list[Garbage]:
    """Blobs in (after, upto] that are garbage and, like their unused links, older than `before_us`."""
    unused = _count_links(_is_unused(before_us))
    kept = _count_links(~_is_unused(before_us))
    statement = select(
        blob.c.digest, blob.c.size, blob.c.gc_marked_at, unused.label("unused"), kept.label("kept")
    ).where(blob.c.registry_uid == registry_uid, blob.c.digest > after, _is_garbage(before_us))
    if upto is not None:
        statement = statement.where(blob.c.digest <= upto)
    return [
        Garbage(
            digest=Digest.from_stored(row.digest),
            size=row.size,
            marked_us=row.gc_marked_at,
            links=row.unused,
            is_whole=row.kept == 0,
        )
        for row in tx.execute(statement.order_by(blob.c.digest))
    ]


def mark(tx: Tx, registry_uid: str, digests: Sequence[Digest], before_us: int) -> int:
    """Mark those that are still garbage and not marked yet; returns how many.

    The grace begins under their locks: who was told before that a blob is there has all of it.
    """
    chosen = and_(_among(registry_uid, digests), blob.c.gc_marked_at.is_(None), _is_garbage(before_us))
    tx.execute(lock_for_update(tx.dialect, select(blob.c.digest).where(chosen).order_by(blob.c.digest)))
    # gc's own note, not a fact for the journal
    return tx.connection.execute(update(blob).where(chosen).values(gc_marked_at=tx.clock.now_us())).rowcount


def list_marked(tx: Tx, registry_uid: str, after: bytes, before_us: int, limit: int) -> list[Digest]:
    """Blobs whose mark is as old as that, by digest."""
    rows = tx.execute(
        select(blob.c.digest)
        .where(
            blob.c.registry_uid == registry_uid,
            blob.c.digest > after,
            blob.c.gc_marked_at.is_not(None),
            blob.c.gc_marked_at <= before_us,
        )
        .order_by(blob.c.digest)
        .limit(limit)
    )
    return [Digest.from_stored(row.digest) for row in rows]


def sum_marked(tx: Tx, registry_uid: str | None) -> tuple[int, int]:
    """(number, bytes) of marked blobs."""
    total = func.coalesce(func.sum(blob.c.size), 0).label("total")
    statement = select(func.count().label("number"), total).where(blob.c.gc_marked_at.is_not(None))
    if registry_uid is not None:
        statement = statement.where(blob.c.registry_uid == registry_uid)
    row = tx.execute(statement).one()
    return row.number, int(row.total)


def sweep(tx: Tx, registry_uid: str, digests: Sequence[Digest], *, marked_before_us: int, before_us: int) -> Swept:
    """Take away the unused links of these blobs, and the blobs that have none left, if their marks still stand.

    Locks in the order of a push: repositories, then blobs. A manifest PUT holds its repository until it commits, so
    under these locks no reference can be overlooked; whoever adds, mounts or asks for a blob clears its mark first.
    """
    repositories = _lock_repositories(tx, registry_uid, digests, before_us)
    marked = _lock_marked(tx, registry_uid, digests, marked_before_us)
    unlinked = _unlink(tx, repositories, marked, before_us)
    removed = _remove_unlinked(tx, registry_uid, marked)
    gone = {digest for digest, _ in removed}
    _unmark_needed(tx, registry_uid, [digest for digest in marked if digest not in gone], before_us)
    return Swept(unlinked=unlinked, removed=removed)


def list_present(tx: Tx, registry_uid: str, digests: Sequence[Digest]) -> set[Digest]:
    """Which of these the registry has a row of."""
    rows = tx.execute(select(blob.c.digest).where(_among(registry_uid, digests)))
    return {Digest.from_stored(row.digest) for row in rows}


def list_known_uploads(tx: Tx, registry_uid: str, uids: Sequence[str]) -> set[str]:
    rows = tx.execute(select(upload.c.uid).where(upload.c.registry_uid == registry_uid, upload.c.uid.in_(uids)))
    return {row.uid for row in rows}


def list_expired_uploads(tx: Tx, registry_uid: str, after: str, limit: int) -> list[str]:
    rows = tx.execute(
        select(upload.c.uid)
        .where(upload.c.registry_uid == registry_uid, upload.c.uid > after, upload.c.expires_at <= tx.now_us)
        .order_by(upload.c.uid)
        .limit(limit)
    )
    return [row.uid for row in rows]


# --- inside -------------------------------------------------------------------------------------------------------


def _lock_repositories(tx: Tx, registry_uid: str, digests: Sequence[Digest], before_us: int) -> dict[int, str]:
    """Names by id of repositories that have an unused link to one of them."""
    found = (
        select(repository_blob.c.repository_id)
        .join(repository, repository.c.id == repository_blob.c.repository_id)
        .where(
            repository.c.registry_uid == registry_uid,
            repository_blob.c.digest.in_([digest.stored for digest in digests]),
            _is_unused(before_us),
        )
        .limit(_LINKS_AT_ONCE)
    )
    ids = sorted(set(tx.execute(found).scalars()))
    statement = select(repository.c.id, repository.c.name).where(repository.c.id.in_(ids)).order_by(repository.c.id)
    return {row.id: row.name for row in tx.execute(lock_for_update(tx.dialect, statement))}


def _lock_marked(tx: Tx, registry_uid: str, digests: Sequence[Digest], marked_before_us: int) -> list[Digest]:
    statement = (
        select(blob.c.digest)
        .where(
            _among(registry_uid, digests),
            blob.c.gc_marked_at.is_not(None),
            blob.c.gc_marked_at <= marked_before_us,
        )
        .order_by(blob.c.digest)
    )
    return [Digest.from_stored(row.digest) for row in tx.execute(lock_for_update(tx.dialect, statement))]


def _unlink(
    tx: Tx, repositories: dict[int, str], digests: Sequence[Digest], before_us: int
) -> list[tuple[str, Digest]]:
    if not repositories or not digests:
        return []
    rows = tx.execute(
        delete(repository_blob)
        .where(
            repository_blob.c.repository_id.in_(list(repositories)),
            repository_blob.c.digest.in_([digest.stored for digest in digests]),
            _is_unused(before_us),
        )
        .returning(repository_blob.c.repository_id, repository_blob.c.digest)
    )
    return [(repositories[row.repository_id], Digest.from_stored(row.digest)) for row in rows]


def _remove_unlinked(tx: Tx, registry_uid: str, digests: Sequence[Digest]) -> list[tuple[Digest, int]]:
    if not digests:
        return []
    rows = tx.execute(
        delete(blob).where(_among(registry_uid, digests), ~_has_link()).returning(blob.c.digest, blob.c.size)
    )
    return [(Digest.from_stored(row.digest), row.size) for row in rows]


def _unmark_needed(tx: Tx, registry_uid: str, digests: Sequence[Digest], before_us: int) -> None:
    if digests:
        statement = update(blob).where(_among(registry_uid, digests), ~_is_garbage(before_us))
        tx.connection.execute(statement.values(gc_marked_at=None))


def _among(registry_uid: str, digests: Sequence[Digest]) -> ColumnElement[bool]:
    return and_(blob.c.registry_uid == registry_uid, blob.c.digest.in_([digest.stored for digest in digests]))


def _is_unused(before_us: int) -> ColumnElement[bool]:
    """Of a row of `repository_blob`."""
    reference = (manifest_reference.c.repository_id == repository_blob.c.repository_id) & (
        manifest_reference.c.target == repository_blob.c.digest
    )
    is_used = exists().where(reference).correlate(repository_blob)
    return and_(repository_blob.c.created_at <= before_us, ~is_used)


def _links_of_blob() -> ColumnElement[bool]:
    """Of a registry's own repositories: a digest may be in several registries."""
    return and_(
        repository_blob.c.digest == blob.c.digest,
        repository.c.id == repository_blob.c.repository_id,
        repository.c.registry_uid == blob.c.registry_uid,
    )


def _has_link() -> ColumnElement[bool]:
    return exists().select_from(repository_blob, repository).where(_links_of_blob()).correlate(blob)


def _is_garbage(before_us: int) -> ColumnElement[bool]:
    has_unused = (
        exists().select_from(repository_blob, repository).where(_links_of_blob(), _is_unused(before_us)).correlate(blob)
    )
    return and_(blob.c.created_at <= before_us, or_(has_unused, ~_has_link()))


def _count_links(condition: ColumnElement[bool]) -> ScalarSelect[int]:
    counted = (
        select(func.count())
        .select_from(repository_blob)
        .join(repository, repository.c.id == repository_blob.c.repository_id)
    )
    return counted.where(_links_of_blob(), condition).correlate(blob).scalar_subquery()
