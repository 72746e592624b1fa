"""SQL of usage: counted up and down by events, or counted anew from the registry's tables."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore, lock_for_update, upsert
from darsena.journal.tables import cursor, journal_head
from darsena.registry.tables import blob, manifest, repository
from darsena.usage.tables import usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """`size_bytes` counts each blob of the registry once, however many repositories have it."""

    size_bytes: int = 0
    blobs: int = 0
    manifests: int = 0
    repositories: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            size_bytes=self.size_bytes + other.size_bytes,
            blobs=self.blobs + other.blobs,
            manifests=self.manifests + other.manifests,
            repositories=self.repositories + other.repositories,
        )

    def __bool__(self) -> bool:
        return self != Totals()


def count_size(tx: Tx, registry_uid: str) -> int:
    """Bytes that the registry holds, as far as the journal has been read."""
    return find_totals(tx, registry_uid).size_bytes


def find_totals(tx: Tx, registry_uid: str) -> Totals:
    """Zeros for a registry that is not known yet."""
    row = tx.execute(select(usage).where(usage.c.registry_uid == registry_uid)).one_or_none()
    if row is None:
        return Totals()
    return Totals(size_bytes=row.size_bytes, blobs=row.blobs, manifests=row.manifests, repositories=row.repositories)


def add(tx: Tx, registry_uid: str, change: Totals) -> None:
    zero = {"registry_uid": registry_uid, "size_bytes": 0, "blobs": 0, "manifests": 0, "repositories": 0}
    tx.execute(insert_ignore(tx.dialect, usage, zero | {"updated_at": tx.now_us}))
    tx.execute(
        update(usage)
        .where(usage.c.registry_uid == registry_uid)
        .values(
            size_bytes=usage.c.size_bytes + change.size_bytes,
            blobs=usage.c.blobs + change.blobs,
            manifests=usage.c.manifests + change.manifests,
            repositories=usage.c.repositories + change.repositories,
            updated_at=tx.now_us,
        )
    )


def put(tx: Tx, registry_uid: str, totals: Totals) -> None:
    counts = {
        "size_bytes": totals.size_bytes,
        "blobs": totals.blobs,
        "manifests": totals.manifests,
        "repositories": totals.repositories,
        "updated_at": tx.now_us,
    }
    values = {"registry_uid": registry_uid, **counts}
    tx.execute(upsert(tx.dialect, usage, values, key=["registry_uid"], update=list(counts)))


def forget(tx: Tx, registry_uid: str) -> None:
    tx.execute(delete(usage).where(usage.c.registry_uid == registry_uid))


def count_anew(tx: Tx, registry_uid: str) -> Totals:
    """From the tables themselves."""
    mine = select(repository.c.id).where(repository.c.registry_uid == registry_uid)
    sizes = select(func.coalesce(func.sum(blob.c.size), 0).label("size_bytes"), func.count().label("blobs"))
    sums = tx.execute(sizes.where(blob.c.registry_uid == registry_uid)).one()
    manifests = select(func.count()).select_from(manifest).where(manifest.c.repository_id.in_(mine))
    repositories = select(func.count()).select_from(repository).where(repository.c.registry_uid == registry_uid)
    return Totals(
        size_bytes=int(sums.size_bytes),
        blobs=sums.blobs,
        manifests=tx.execute(manifests).scalar_one(),
        repositories=tx.execute(repositories).scalar_one(),
    )


def lock_head(tx: Tx, stream: str) -> int:
    """The newest seq of a stream. Nobody appends to it until this transaction ends: what is counted now is exactly
    what the entries up to the newest have made."""
    here = select(journal_head.c.seq).where(journal_head.c.stream == stream)
    return tx.execute(lock_for_update(tx.dialect, here)).scalar() or 0


def lock_cursor(tx: Tx, reader: str, stream: str) -> None:
    """No batch of this reader is applied meanwhile."""
    tx.execute(insert_ignore(tx.dialect, cursor, {"reader": reader, "stream": stream, "seq": 0}))
    here = (cursor.c.reader == reader) & (cursor.c.stream == stream)
    tx.execute(lock_for_update(tx.dialect, select(cursor.c.seq).where(here)))


def find_cursor(tx: Tx, reader: str, stream: str) -> int:
    here = (cursor.c.reader == reader) & (cursor.c.stream == stream)
    return tx.execute(select(cursor.c.seq).where(here)).scalar() or 0


def find_floor(tx: Tx, stream: str) -> int:
    return tx.execute(select(journal_head.c.floor).where(journal_head.c.stream == stream)).scalar() or 0


def set_cursor(tx: Tx, reader: str, stream: str, seq: int) -> None:
    values = {"reader": reader, "stream": stream, "seq": seq}
    tx.execute(upsert(tx.dialect, cursor, values, key=["reader", "stream"], update=["seq"]))
