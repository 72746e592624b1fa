"""Online gc: bytes that nothing needs go, and never any others, while pushes go on.

What is garbage is counted in SQL (store/garbage.py). A manifest, tagged or not, keeps its blobs, so the children of an
index and the referrers of a subject are never touched: only a deletion makes garbage, or a push that was not finished.

1. *Mark.* A blob with an old link that nothing uses, or without a link, gets `gc_marked_at`.
2. *Wait* a grace. Adding, mounting, or asking for the blob (HEAD, GET) clears its mark before it is answered; the pull
   path of prepared statements does not see marked blobs and leaves them to the path that clears. So a push that was
   told "it is there" has the grace, at least, to put its manifest.
3. *Sweep.* One transaction per batch re-checks under the locks that a push takes, in its order (repositories, blobs),
   removes links and rows, and emits `blob.unlinked` and `blob.removed`.
4. *Bytes*, through BlobStore.remove. A crash before this leaves bytes without a row: the next run lists and takes them.

Why bytes under a row never go. A push holds the digest's place (BlobStore.hold) from before it renames its bytes there
until its row is committed, even when its client goes away. `remove` takes the place alone, asks the database which of
the digests have a row, and takes the others' bytes away before it lets anybody in. Of a push and a removal of one
digest one is therefore first as a whole: if the push, its row is seen and the bytes stay; if the removal, the old bytes
are gone before the push renames its own. A mount does not bring bytes, so it may only use a row that is there and keeps
it locked until it commits; if gc was faster there is none, and the client uploads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from darsena.core.errors import Conflict, Problem
from darsena.core.failpoints import failpoint
from darsena.core.ids import new_uid
from darsena.db import Database, Tx
from darsena.jobs.lease import lease_now_us
from darsena.jobs.wake import Wake, pause
from darsena.registry.collecting import Collecting
from darsena.registry.gc_model import GcRun, Plan, Progress
from darsena.registry.gc_plan import make_plan
from darsena.registry.model import Registry
from darsena.registry.store import garbage, gc_runs
from darsena.storage.port import Storage

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.registry")

ListRegistries = Callable[[], Awaitable[Sequence[Registry]]]

_POLL_S = 5.0
_SAVE_S = 1.0
"""How often a run notes its progress, and looks whether it is to pause."""
_LEASE_US = 60_000_000
_SETTLE_S = 60.0
"""A server that has just started has better things to do."""


class _Ended(Exception):
    """The run is not ours to go on with: paused, taken over, or the server stops."""


class GarbageCollector:
    """One run at a time on a database, whatever process it is in. `interval_s` 0: only when asked."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        list_registries: ListRegistries,
        *,
        grace_s: float = 3600,
        interval_s: float = 86_400,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._storage = storage
        self._list_registries = list_registries
        self._grace_us = round(grace_s * 1_000_000)
        self._interval_us = round(interval_s * 1_000_000)
        self._monotonic = monotonic
        self._began = monotonic()
        self._owner = new_uid()
        self._wake = Wake()
        self._is_working = False

    # --- asked for ------------------------------------------------------------------------------------------------

    async def plan(self, registry: Registry | None = None, grace_s: float | None = None) -> Plan:
        """What a run would remove now, if no mark had to wait. Changes nothing."""
        registries = await self._list_registries() if registry is None else [registry]
        return await make_plan(self._db, self._storage, registries, self._grace(grace_s))

    async def start(self, registry: Registry | None = None, grace_s: float | None = None) -> GcRun:
        """A new run, or the one that waits already for the same. Raises Conflict while gc is paused."""
        grace_us, uid = self._grace(grace_s), None if registry is None else registry.uid

        def write(tx: Tx) -> GcRun:
            gc_runs.lock(tx)
            for run in gc_runs.list_open(tx):
                if run.status == "Paused":
                    raise Conflict("gc is paused: resume it, which goes on with the run that was paused")
                if run.status == "Queued" and (run.registry_uid, run.grace_us) == (uid, grace_us):
                    return run
            tx.after_commit(self._wake.notify)
            return gc_runs.insert_new(tx, uid, grace_us)

        return await self._db.transact(write)

    async def get(self, id_: int) -> GcRun | None:
        return await self._db.read(gc_runs.find, id_)

    async def find_last(self, registry: Registry | None = None) -> GcRun | None:
        """The newest run that concerns the registry; None when there was none."""
        return await self._db.read(gc_runs.find_last, None if registry is None else registry.uid)

    async def pause(self) -> GcRun:
        """Nothing is collected until `resume`, across restarts too. Raises Conflict when no run is under way."""
        return await self._db.transact(self._turn, ("Running", "Queued"), "Paused", "no run of gc is under way")

    async def resume(self) -> GcRun:
        """Raises Conflict when gc is not paused."""
        return await self._db.transact(self._turn, ("Paused",), "Queued", "gc is not paused")

    def _turn(self, tx: Tx, present: tuple[str, ...], status: str, otherwise: str) -> GcRun:
        gc_runs.lock(tx)
        turned = [run.id for run in gc_runs.list_open(tx) if run.status in present]
        if not turned:
            raise Conflict(otherwise)
        gc_runs.set_status(tx, turned, status)
        tx.after_commit(self._wake.notify)
        found = gc_runs.find(tx, turned[0])
        assert found is not None
        return found

    def _grace(self, grace_s: float | None) -> int:
        return self._grace_us if grace_s is None else round(grace_s * 1_000_000)

    # --- at work --------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """The worker's loop: runs what is asked for, and of itself what is due."""
        while not stop.is_set():
            seen = self._wake.generation
            worked = False
            try:
                worked = await self.run_due(stop, of_itself=self._monotonic() - self._began > _SETTLE_S)
            except Problem as problem:
                _log.warning("gc_not_run", error=problem.message)
            if not worked:
                await pause(stop, _POLL_S, self._wake, seen)

    async def run_due(self, stop: asyncio.Event | None = None, *, of_itself: bool = False) -> bool:
        """Do one run that waits to its end; False when none does."""
        if await self._db.read(self._find_due, of_itself) is None:
            return False
        run = await self._db.transact(self._claim, of_itself)
        if run is None:
            return False
        failpoint("gc.after_claim")
        self._is_working = True
        try:
            await self._do(run, stop or asyncio.Event())
        finally:
            self._is_working = False
        return True

    def _find_due(self, tx: Tx, of_itself: bool) -> GcRun | bool | None:
        """The run to go on with; True when a new one is due."""
        open_runs = gc_runs.list_open(tx)
        if any(run.status == "Paused" for run in open_runs):
            return None
        if open_runs:
            run = min(open_runs, key=lambda run: run.status != "Running")
            return run if run.status == "Queued" or self._has_lapsed(tx, run) else None
        return True if of_itself and self._is_new_due(tx) else None

    def _has_lapsed(self, tx: Tx, run: GcRun) -> bool:
        """On SQLite there is one worker: who held a run before us is dead. One of our own that we do not work on was
        dropped, because the database would not even take its end."""
        if run.owner == self._owner:
            return not self._is_working
        if self._db.is_sqlite:
            return True
        return (run.lease_until_us or 0) < lease_now_us(tx)

    def _is_new_due(self, tx: Tx) -> bool:
        if not self._interval_us:
            return False
        ended_us, last = gc_runs.find_last_full_end(tx), gc_runs.find_last(tx)
        if ended_us is None or ended_us + self._interval_us <= tx.now_us:
            return True
        if last is None or last.finished_us is None or not last.progress.blobs_waiting:
            return False
        return last.finished_us + self._grace_us < tx.now_us

    def _claim(self, tx: Tx, of_itself: bool) -> GcRun | None:
        gc_runs.lock(tx)
        due = self._find_due(tx, of_itself)
        if due is None:
            return None
        run = due if isinstance(due, GcRun) else gc_runs.insert_new(tx, None, self._grace_us)
        gc_runs.claim(tx, run.id, self._owner, lease_now_us(tx) + _LEASE_US)
        return gc_runs.find(tx, run.id)

    async def _do(self, run: GcRun, stop: asyncio.Event) -> None:
        progress, status, error = run.progress, "Succeeded", None
        saved = self._monotonic()

        async def between() -> None:
            nonlocal saved
            if stop.is_set():
                raise _Ended
            if self._monotonic() - saved >= _SAVE_S:
                saved = self._monotonic()
                if not await self._db.transact(self._keep, run, progress):
                    raise _Ended

        try:
            await self._collect(run, progress, between)
        except _Ended:
            await self._db.transact(self._let_go, run, progress)
            return
        except Exception as failure:
            status, error = "Failed", failure.message if isinstance(failure, Problem) else type(failure).__name__
            _log.exception("gc_failed", run=run.id)
        failpoint("gc.before_end")
        await self._db.transact(gc_runs.end, run.id, self._owner, status, progress, error)
        failpoint("gc.after_end")
        _log.info("gc_ended", run=run.id, status=status, blobs=progress.blobs_removed, bytes=progress.bytes_freed)

    async def _collect(self, run: GcRun, progress: Progress, between: Callable[[], Awaitable[None]]) -> None:
        registries = await self._list_registries()
        registries = [one for one in registries if run.registry_uid in (None, one.uid)]
        progress.registries, progress.registries_done = len(registries), 0
        collecting = Collecting(self._db, self._storage, run.grace_us, progress, between)
        for registry in registries:
            await collecting.collect(registry)
            progress.registries_done += 1
        waiting = await self._db.read(garbage.sum_marked, run.registry_uid)
        progress.phase, (progress.blobs_waiting, progress.bytes_waiting) = "", waiting

    def _keep(self, tx: Tx, run: GcRun, progress: Progress) -> bool:
        return gc_runs.keep(tx, run.id, self._owner, lease_now_us(tx) + _LEASE_US, progress)

    def _let_go(self, tx: Tx, run: GcRun, progress: Progress) -> None:
        """Ours still: the server stops, and whoever starts next goes on. Paused: only the counts are noted."""
        if self._keep(tx, run, progress):
            gc_runs.set_status(tx, [run.id], "Queued")
        else:
            gc_runs.note_paused(tx, run.id, progress)
