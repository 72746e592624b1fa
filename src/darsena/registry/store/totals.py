"""Rows of `registry_size`: changed with the blobs, in their transaction. No facts for the journal."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update

from darsena.db import Prepared, Tx
from darsena.db.dialects import ByDialect, insert_for, insert_ignore, lock_for_update
from darsena.registry.tables import blob, registry_size


def _prepare_change(dialect: str) -> Any:
    insert = insert_for(dialect, registry_size)
    added = registry_size.c.size_bytes + insert.excluded.size_bytes
    changed = insert.on_conflict_do_update(index_elements=["registry_uid"], set_={"size_bytes": added})
    return changed.returning(registry_size.c.size_bytes)


_CHANGE = Prepared(ByDialect(_prepare_change))


def change(tx: Tx, registry_uid: str, by_bytes: int) -> int:
    """What the registry's blobs take after the change.

    All that add to a registry wait here for each other, so it is the last thing before the events.
    """
    return tx.run(_CHANGE, {"registry_uid": registry_uid, "size_bytes": by_bytes}).scalar()


def find(tx: Tx, registry_uid: str) -> int:
    return tx.execute(select(registry_size.c.size_bytes).where(_here(registry_uid))).scalar() or 0


def list_used(tx: Tx) -> list[str]:
    """Registries that have blobs."""
    return list(tx.execute(select(registry_size.c.registry_uid).where(registry_size.c.size_bytes > 0)).scalars())


def count_anew(tx: Tx, registry_uid: str) -> int:
    """From the blobs themselves."""
    return int(tx.execute(select(func.coalesce(func.sum(blob.c.size), 0)).where(_mine(registry_uid))).scalar_one())


def is_right(tx: Tx, registry_uid: str) -> bool:
    return find(tx, registry_uid) == count_anew(tx, registry_uid)


def correct(tx: Tx, registry_uid: str) -> None:
    """Whoever has added a blob and not this waits until we have counted."""
    tx.execute(insert_ignore(tx.dialect, registry_size, {"registry_uid": registry_uid, "size_bytes": 0}))
    held = select(registry_size.c.size_bytes).where(_here(registry_uid))
    tx.execute(lock_for_update(tx.dialect, held))
    size_bytes = count_anew(tx, registry_uid)
    tx.execute(update(registry_size).where(_here(registry_uid)).values(size_bytes=size_bytes))


def remove(tx: Tx, registry_uid: str) -> None:
    tx.execute(delete(registry_size).where(_here(registry_uid)))


def _here(registry_uid: str) -> ColumnElement[bool]:
    return registry_size.c.registry_uid == registry_uid


def _mine(registry_uid: str) -> ColumnElement[bool]:
    return blob.c.registry_uid == registry_uid
