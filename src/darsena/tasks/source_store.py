"""SQL of build sources: which there are, which a run has claimed, which nobody needs any more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from darsena.db import Tx
from darsena.tasks.model import Source
from darsena.tasks.tables import run_queue, source


def insert_source(tx: Tx, registry_uid: str, name: str) -> None:
    values = {
        "registry_uid": registry_uid,
        "name": name,
        "created_at": tx.now_us,
        "used_at": tx.now_us,
        "staged_bytes": 0,
        "is_claimed": False,
    }
    tx.execute(insert(source).values(values))


def find_source(tx: Tx, registry_uid: str, name: str) -> Source | None:
    row = tx.execute(select(source).where(_is(registry_uid, name))).one_or_none()
    return None if row is None else _source(row)


def claim_source(tx: Tx, registry_uid: str, name: str) -> bool:
    """From here on nobody writes it. False when it is not there."""
    there = _is(registry_uid, name) & source.c.written_at.is_not(None)
    statement = update(source).where(there).values(is_claimed=True, used_at=tx.now_us)
    return tx.execute(statement.returning(source.c.name)).one_or_none() is not None


def set_written(tx: Tx, registry_uid: str, name: str) -> Source | None:
    """None when a run has claimed it."""
    values = {"written_at": tx.now_us, "used_at": tx.now_us, "staged_bytes": 0}
    return _update(tx, registry_uid, name, values)


def add_staged(tx: Tx, registry_uid: str, name: str, size: int) -> Source | None:
    """Count bytes that were staged as blocks. None when a run has claimed it."""
    values = {"staged_bytes": source.c.staged_bytes + size, "used_at": tx.now_us}
    return _update(tx, registry_uid, name, values)


def touch_source(tx: Tx, registry_uid: str, name: str) -> None:
    tx.execute(update(source).where(_is(registry_uid, name)).values(used_at=tx.now_us))


def delete_unused(tx: Tx, before_us: int, limit: int) -> list[tuple[str, str]]:
    """(registry, name) of those that were last used before this time and that no waiting or running run needs."""
    needed = (
        select(run_queue.c.id)
        .where(run_queue.c.registry_uid == source.c.registry_uid, run_queue.c.source_name == source.c.name)
        .exists()
    )
    unused = select(source.c.registry_uid, source.c.name).where(source.c.used_at < before_us, ~needed)
    found = [(row.registry_uid, row.name) for row in tx.execute(unused.order_by(source.c.used_at).limit(limit))]
    for registry_uid, name in found:
        tx.execute(delete(source).where(_is(registry_uid, name)))
    return found


def delete_of_registry(tx: Tx, registry_uid: str) -> None:
    tx.execute(delete(source).where(source.c.registry_uid == registry_uid))


def _is(registry_uid: str, name: str) -> Any:
    return (source.c.registry_uid == registry_uid) & (source.c.name == name)


def _update(tx: Tx, registry_uid: str, name: str, values: dict[str, Any]) -> Source | None:
    open_ = _is(registry_uid, name) & source.c.is_claimed.is_(False)
    row = tx.execute(update(source).where(open_).values(values).returning(source)).one_or_none()
    return None if row is None else _source(row)


def _source(row: Row[Any]) -> Source:
    return Source(
        registry_uid=row.registry_uid,
        name=row.name,
        is_claimed=row.is_claimed,
        staged_bytes=row.staged_bytes,
        created_at_us=row.created_at,
        written_at_us=row.written_at,
    )
