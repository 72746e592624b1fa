"""Rows of `gc_run`: one run works at a time, whatever process it is in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update

from darsena.db import Tx
from darsena.db.dialects import lock_by_name
from darsena.registry.gc_model import GcRun, Progress, decode_progress, encode_progress
from darsena.registry.tables import gc_run

_KEPT = 50


def lock(tx: Tx) -> None:
    """One process at a time decides what runs."""
    lock_by_name(tx.connection, "gc")


def insert_new(tx: Tx, registry_uid: str | None, grace_us: int) -> GcRun:
    values = {
        "registry_uid": registry_uid,
        "grace_us": grace_us,
        "status": "Queued",
        "requested_at": tx.now_us,
        "progress": encode_progress(Progress()),
    }
    made = _run(tx.execute(insert(gc_run).values(values).returning(gc_run)).one())
    oldest = select(gc_run.c.id).order_by(gc_run.c.id.desc()).offset(_KEPT).limit(1)
    tx.execute(delete(gc_run).where(gc_run.c.id <= (tx.execute(oldest).scalar() or 0), _has_ended()))
    return made


def find(tx: Tx, id_: int) -> GcRun | None:
    row = tx.execute(select(gc_run).where(gc_run.c.id == id_)).first()
    return None if row is None else _run(row)


def find_last(tx: Tx, registry_uid: str | None = None) -> GcRun | None:
    """The newest; of those that concern this registry, when it is given."""
    statement = select(gc_run)
    if registry_uid is not None:
        statement = statement.where(or_(gc_run.c.registry_uid == registry_uid, gc_run.c.registry_uid.is_(None)))
    row = tx.execute(statement.order_by(gc_run.c.id.desc()).limit(1)).first()
    return None if row is None else _run(row)


def list_open(tx: Tx) -> list[GcRun]:
    """Those that have not ended, oldest first."""
    return [_run(row) for row in tx.execute(select(gc_run).where(~_has_ended()).order_by(gc_run.c.id))]


def find_last_full_end(tx: Tx) -> int | None:
    """When a run of all registries last ended."""
    ended = select(func.max(gc_run.c.finished_at)).where(gc_run.c.registry_uid.is_(None), _has_ended())
    return tx.execute(ended).scalar()


def claim(tx: Tx, id_: int, owner: str, lease_until_us: int) -> None:
    started = func.coalesce(gc_run.c.started_at, tx.now_us)
    values = {"status": "Running", "owner": owner, "lease_until": lease_until_us, "started_at": started}
    tx.execute(update(gc_run).where(gc_run.c.id == id_).values(values))


def keep(tx: Tx, id_: int, owner: str, lease_until_us: int, progress: Progress) -> bool:
    """Renew the lease and note the progress; False when the run was paused or taken over."""
    mine = (gc_run.c.id == id_) & (gc_run.c.owner == owner) & (gc_run.c.status == "Running")
    values = {"lease_until": lease_until_us, "progress": encode_progress(progress)}
    return tx.execute(update(gc_run).where(mine).values(values)).rowcount == 1


def note_paused(tx: Tx, id_: int, progress: Progress) -> None:
    """What a run had done when it was paused; nothing when it goes on already."""
    here = (gc_run.c.id == id_) & (gc_run.c.status == "Paused")
    tx.execute(update(gc_run).where(here).values(progress=encode_progress(progress)))


def end(tx: Tx, id_: int, owner: str, status: str, progress: Progress, error: str | None) -> None:
    mine = (gc_run.c.id == id_) & (gc_run.c.owner == owner) & (gc_run.c.status == "Running")
    ended = {"status": status, "finished_at": tx.now_us, "owner": None, "lease_until": None, "error": error}
    tx.execute(update(gc_run).where(mine).values(ended | {"progress": encode_progress(progress)}))


def set_status(tx: Tx, ids: list[int], status: str) -> None:
    free = {"status": status, "owner": None, "lease_until": None}
    tx.execute(update(gc_run).where(gc_run.c.id.in_(ids)).values(free))


def _has_ended() -> ColumnElement[bool]:
    return gc_run.c.status.in_(("Succeeded", "Failed"))


def _run(row: Row[Any]) -> GcRun:
    return GcRun(
        id=row.id,
        registry_uid=row.registry_uid,
        grace_us=row.grace_us,
        status=row.status,
        requested_us=row.requested_at,
        started_us=row.started_at,
        finished_us=row.finished_at,
        owner=row.owner,
        lease_until_us=row.lease_until,
        progress=decode_progress(row.progress),
        error=row.error,
    )
