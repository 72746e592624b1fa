"""The steps of one run of gc on one registry: mark, sweep, orphans, leftovers, abandoned uploads.

Every step works in batches of bounded size, asks `between` after each, and may be cut off anywhere: what is left is
garbage that the next run finds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from darsena.core.digest import Digest
from darsena.core.failpoints import failpoint
from darsena.db import Database, Tx
from darsena.registry.events import BlobRemoved, BlobUnlinked
from darsena.registry.gc_model import Progress
from darsena.registry.model import Registry
from darsena.registry.store import garbage, totals, uploads
from darsena.registry.store.garbage import Garbage, Swept
from darsena.storage.port import Storage

EXAMINED_AT_ONCE = 2000
MARKED_AT_ONCE = 500
SWEPT_AT_ONCE = 200
"""A push waits for one such transaction: some ten milliseconds."""
_LISTED_AT_ONCE = 500
_UPLOADS_AT_ONCE = 200

LEFTOVER_GRACE_US = 3600 * 1_000_000
"""Temporary files have no row that says whether they are still being written: never less than this."""


class Collecting:
    """`between` is awaited after each batch; it may raise to end the run."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        grace_us: int,
        progress: Progress,
        between: Callable[[], Awaitable[None]],
    ) -> None:
        self._db = db
        self._storage = storage
        self._grace_us = grace_us
        self._progress = progress
        self._between = between

    async def collect(self, registry: Registry) -> None:
        steps = (self._mark, self._sweep, self._remove_orphans, self._remove_leftovers, self._end_uploads)
        for phase, step in zip(("mark", "sweep", "orphans", "leftovers", "uploads"), steps, strict=True):
            self._progress.phase = phase
            await step(registry)
            await self._between()
        if not await self._db.read(totals.is_right, registry.uid):
            await self._db.transact(totals.correct, registry.uid)

    @property
    def _before_us(self) -> int:
        return self._db.clock.now_us() - self._grace_us

    # --- rows ---------------------------------------------------------------------------------------------------

    async def _mark(self, registry: Registry) -> None:
        after, before_us = b"", self._before_us
        while True:
            bound, examined, found = await self._db.read(read_garbage, registry.uid, after, before_us)
            unmarked = [item.digest for item in found if item.marked_us is None]
            for start in range(0, len(unmarked), MARKED_AT_ONCE):
                part = unmarked[start : start + MARKED_AT_ONCE]
                marked = await self._db.transact(garbage.mark, registry.uid, part, before_us)
                self._progress.blobs_marked += marked
                failpoint("gc.after_mark")
            self._progress.blobs_examined += examined
            await self._between()
            if bound is None:
                return
            after = bound

    async def _sweep(self, registry: Registry) -> None:
        after, before_us = b"", self._before_us
        while True:
            marked = await self._db.read(garbage.list_marked, registry.uid, after, before_us, SWEPT_AT_ONCE)
            if not marked:
                return
            swept = await self._db.transact(self._sweep_rows, registry, marked, before_us)
            failpoint("gc.after_rows")
            self._progress.links_removed += len(swept.unlinked)
            self._progress.blobs_removed += len(swept.removed)
            self._progress.bytes_freed += sum(size for _, size in swept.removed)
            await self._remove_bytes(registry.uid, [digest for digest, _ in swept.removed])
            failpoint("gc.after_bytes")
            await self._between()
            after = marked[-1].stored

    def _sweep_rows(self, tx: Tx, registry: Registry, marked: Sequence[Digest], before_us: int) -> Swept:
        swept = garbage.sweep(tx, registry.uid, marked, marked_before_us=before_us, before_us=before_us)
        failpoint("gc.after_sweep")
        for repository, digest in swept.unlinked:
            tx.emit(registry.stream, BlobUnlinked(repository=repository, digest=str(digest)))
        for digest, size in swept.removed:
            tx.emit(registry.stream, BlobRemoved(digest=str(digest), size=size))
        if swept.removed:
            totals.change(tx, registry.uid, -sum(size for _, size in swept.removed))
        return swept

    # --- bytes --------------------------------------------------------------------------------------------------

    async def _remove_bytes(self, registry_uid: str, digests: Sequence[Digest]) -> tuple[int, int]:
        """(number, stored bytes) of what is gone; what is put there anew in this moment stays."""
        if not digests:
            return 0, 0

        async def choose(free: Sequence[Digest]) -> set[Digest]:
            return set(free) - await self._db.read(garbage.list_present, registry_uid, free)

        failpoint("gc.before_bytes")
        removed = await self._storage.blobs.remove(registry_uid, digests, self._before_us, choose)
        return len(removed), sum(found.stored_bytes for found in removed)

    async def _remove_orphans(self, registry: Registry) -> None:
        batch: list[Digest] = []
        async for found in self._storage.blobs.scan(registry.uid):
            if found.written_us < self._before_us:
                batch.append(found.digest)
            if len(batch) >= _LISTED_AT_ONCE:
                await self._remove_without_row(registry, batch)
                batch = []
        await self._remove_without_row(registry, batch)

    async def _remove_without_row(self, registry: Registry, digests: Sequence[Digest]) -> None:
        known = await self._db.read(garbage.list_present, registry.uid, digests) if digests else set[Digest]()
        number, size = await self._remove_bytes(registry.uid, [digest for digest in digests if digest not in known])
        self._progress.orphans_removed += number
        self._progress.orphan_bytes += size
        await self._between()

    async def _remove_leftovers(self, registry: Registry) -> None:
        before_us = self._db.clock.now_us() - max(self._grace_us, LEFTOVER_GRACE_US)
        self._progress.leftovers_removed += await self._storage.sweep(registry.uid, before_us)

    # --- uploads ------------------------------------------------------------------------------------------------

    async def _end_uploads(self, registry: Registry) -> None:
        """Those whose time is over, then those that lost their row. A row is there before the store's part is."""
        after = ""
        while expired := await self._db.read(garbage.list_expired_uploads, registry.uid, after, _UPLOADS_AT_ONCE):
            for uid in expired:
                await self._storage.uploads.abort(registry.uid, uid)
                failpoint("gc.after_abort")
                await self._db.transact(uploads.remove, uid)
                failpoint("gc.after_upload_row")
            self._progress.uploads_removed += len(expired)
            await self._between()
            after = expired[-1]
        for uid in await find_lost_uploads(self._db, self._storage, registry.uid, self._before_us):
            await self._storage.uploads.abort(registry.uid, uid)
            failpoint("gc.after_lost_upload")
            self._progress.uploads_removed += 1


def read_garbage(tx: Tx, registry_uid: str, after: bytes, before_us: int) -> tuple[bytes | None, int, list[Garbage]]:
    """Of the blobs that follow `after`: where to go on (None: these were the last), how many, and the garbage."""
    bound = garbage.find_bound(tx, registry_uid, after, EXAMINED_AT_ONCE)
    examined = EXAMINED_AT_ONCE if bound is not None else garbage.count_after(tx, registry_uid, after)
    return bound, examined, garbage.list_garbage(tx, registry_uid, after, bound, before_us)


async def find_lost_uploads(db: Database, storage: Storage, registry_uid: str, before_us: int) -> dict[str, int]:
    """Uploads that the store has and the database does not, with their stored bytes."""
    stored = {
        found.upload: found.stored_bytes
        async for found in storage.uploads.list(registry_uid)
        if found.written_us < before_us
    }
    uids = sorted(stored)
    for start in range(0, len(uids), _LISTED_AT_ONCE):
        part = uids[start : start + _LISTED_AT_ONCE]
        for known in await db.read(garbage.list_known_uploads, registry_uid, part):
            del stored[known]
    return stored
