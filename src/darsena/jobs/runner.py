"""Running jobs: what is due, within each kind's limit, under a renewed lease; retried, and given back at a stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from darsena.core.errors import Problem
from darsena.core.ids import new_uid
from darsena.db import Database, Tx
from darsena.jobs import queue, store
from darsena.jobs.lease import LEASE_S, lease_now_us
from darsena.jobs.model import Hopeless, Job, JobKind
from darsena.jobs.wake import Wake, pause

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.jobs")

POLL_S = 1.0
_PRUNE_EVERY_S = 3600.0


class JobRunner:
    """One per process. `run` returns once `stop` is set and every handler has ended."""

    def __init__(
        self,
        db: Database,
        kinds: Sequence[JobKind],
        *,
        owner: str = "",
        wake: Wake = queue.WAKE,
        lease_s: float = LEASE_S,
    ) -> None:
        self._db = db
        self._kinds = {kind.name: kind for kind in kinds}
        self._owner = owner or new_uid()
        self._wake = wake
        self._lease_s = lease_s
        self._running: dict[asyncio.Task[None], str] = {}
        self._pruned = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                seen = self._wake.generation
                started = await self._guarded()
                if not started:
                    await pause(stop, POLL_S, self._wake, seen)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def run_due(self) -> int:
        """Run everything that is due now to its end; returns how many jobs that were."""
        count = 0
        while started := await self._start_due():
            count += started
            await asyncio.gather(*self._running, return_exceptions=True)
        return count

    async def _guarded(self) -> int:
        """The loop outlives whatever happens to the database."""
        try:
            loop_now = asyncio.get_running_loop().time()
            if loop_now - self._pruned > _PRUNE_EVERY_S:
                await self._db.transact(queue.prune)
                self._pruned = loop_now
            return await self._start_due()
        except Problem as problem:
            _log.warning("jobs_not_claimed", error=problem.message)
        except Exception:
            _log.exception("jobs_not_claimed")
        return 0

    async def _start_due(self) -> int:
        due = await self._db.read(lambda tx: store.list_due_kinds(tx, lease_now_us(tx)))
        started = 0
        for name in sorted(due & self._kinds.keys()):
            kind = self._kinds[name]
            while list(self._running.values()).count(name) < kind.limit:
                job = await self._db.transact(self._claim, kind)
                if job is None:
                    break
                task = asyncio.ensure_future(self._run(kind, job))
                self._running[task] = name
                task.add_done_callback(self._ended)
                started += 1
        return started

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._running.pop(task, "")
        error = None if task.cancelled() else task.exception()
        if error is not None:  # its end could not be written: the lease lapses and it runs again
            _log.warning("job_end_not_written", kind=name, error=str(error))
        self._wake.notify()

    def _claim(self, tx: Tx, kind: JobKind) -> Job | None:
        now_us = lease_now_us(tx)
        while True:
            job = store.claim(
                tx,
                kind.name,
                owner=self._owner,
                limit=kind.limit,
                now_us=now_us,
                lease_until_us=now_us + round(self._lease_s * 1_000_000),
            )
            if job is None or job.attempt <= kind.attempts:
                return job
            # Its owners died with it again and again: it may be what kills them.
            store.fail(tx, job, self._owner, job.last_error or f"lost by its process {kind.attempts} times")

    async def _run(self, kind: JobKind, job: Job) -> None:
        handler = asyncio.ensure_future(kind.handler(job))
        keeper = asyncio.ensure_future(self._keep(job, handler))
        try:
            async with asyncio.timeout(kind.timeout_s):
                await handler
        except asyncio.CancelledError:
            await self._end(handler)
            await asyncio.shield(self._db.transact(store.give_back, job, self._owner))
        except TimeoutError:
            await self._end(handler)
            await self._failed(kind, job, f"it took longer than {kind.timeout_s:.0f} s")
        except Hopeless as error:
            await self._failed(kind, job, str(error), hopeless=True)
        except Exception as error:
            text = error.message if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
            await self._failed(kind, job, text)
        else:
            await self._db.transact(store.finish, job, self._owner)
        finally:
            keeper.cancel()

    async def _end(self, handler: asyncio.Future[None]) -> None:
        handler.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await handler

    async def _failed(self, kind: JobKind, job: Job, error: str, *, hopeless: bool = False) -> None:
        for_good = hopeless or job.attempt >= kind.attempts
        _log.warning("job_failed", kind=job.kind, key=job.key, attempt=job.attempt, for_good=for_good, error=error)

        def write(tx: Tx) -> bool:
            if for_good:
                return store.fail(tx, job, self._owner, error)
            delay_us = round(kind.retry_delay_s(job.attempt) * 1_000_000)
            return store.retry_later(tx, job, self._owner, error, lease_now_us(tx) + delay_us)

        await self._db.transact(write)

    async def _keep(self, job: Job, handler: asyncio.Future[None]) -> None:
        """Renew the lease; when it is lost, or cannot be renewed in time, end the handler."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._lease_s
        while loop.time() < deadline:
            await asyncio.sleep(self._lease_s / 3)
            try:
                is_held = await self._db.transact(self._extend, job)
            except Problem as problem:
                _log.warning("job_lease_not_renewed", kind=job.kind, key=job.key, error=problem.message)
                continue
            if not is_held:
                break
            deadline = loop.time() + self._lease_s
        handler.cancel()

    def _extend(self, tx: Tx, job: Job) -> bool:
        return store.extend(tx, job, self._owner, lease_now_us(tx) + round(self._lease_s * 1_000_000))
