"""What gc would remove, counted without changing anything."""

from __future__ import annotations

from collections.abc import Sequence

from darsena.core.digest import Digest
from darsena.db import Database
from darsena.registry.collecting import LEFTOVER_GRACE_US, find_lost_uploads, read_garbage
from darsena.registry.gc_model import Plan
from darsena.registry.model import Registry
from darsena.registry.store import garbage
from darsena.storage.port import Storage

_DIGESTS = 1000
_LISTED_AT_ONCE = 500


async def make_plan(db: Database, storage: Storage, registries: Sequence[Registry], grace_us: int) -> Plan:
    """Of these registries together, with this grace."""
    plan = Plan()
    for registry in registries:
        await _plan_blobs(db, registry, grace_us, plan)
        await _plan_orphans(db, storage, registry, grace_us, plan)
        now_us = db.clock.now_us()
        number, size = await storage.measure_leftovers(registry.uid, now_us - max(grace_us, LEFTOVER_GRACE_US))
        plan.leftovers.add(size, number)
        await _plan_uploads(db, storage, registry, now_us - grace_us, plan)
    return plan


async def _plan_blobs(db: Database, registry: Registry, grace_us: int, plan: Plan) -> None:
    """Garbage that is old enough goes; all other garbage waits."""
    after, now_us = b"", db.clock.now_us()
    while True:
        bound, _, found = await db.read(read_garbage, registry.uid, after, now_us - grace_us)
        old = {item.digest for item in found if item.is_whole}
        for item in found:
            plan.links += item.links
            if item.is_whole:
                plan.blobs.add(item.size)
                if len(plan.digests) < _DIGESTS:
                    plan.digests.append((str(item.digest), item.size))
        if grace_us:
            _, _, young = await db.read(read_garbage, registry.uid, after, now_us)
            for item in young:
                if item.is_whole and item.digest not in old:
                    plan.waiting.add(item.size)
        if bound is None:
            return
        after = bound


async def _plan_orphans(db: Database, storage: Storage, registry: Registry, grace_us: int, plan: Plan) -> None:
    before_us = db.clock.now_us() - grace_us
    batch: dict[Digest, int] = {}

    async def count() -> None:
        known = await db.read(garbage.list_present, registry.uid, list(batch)) if batch else set[Digest]()
        for digest, size in batch.items():
            if digest not in known:
                plan.orphans.add(size)
        batch.clear()

    async for found in storage.blobs.scan(registry.uid):
        if found.written_us < before_us:
            batch[found.digest] = found.stored_bytes
        if len(batch) >= _LISTED_AT_ONCE:
            await count()
    await count()


async def _plan_uploads(db: Database, storage: Storage, registry: Registry, before_us: int, plan: Plan) -> None:
    after = ""
    stored = {found.upload: found.stored_bytes async for found in storage.uploads.list(registry.uid)}
    while expired := await db.read(garbage.list_expired_uploads, registry.uid, after, _LISTED_AT_ONCE):
        for uid in expired:
            plan.uploads.add(stored.get(uid, 0))
        after = expired[-1]
    for size in (await find_lost_uploads(db, storage, registry.uid, before_us)).values():
        plan.uploads.add(size)
