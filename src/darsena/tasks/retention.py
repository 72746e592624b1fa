"""What is removed in time: sources that nobody needs, runs with their logs, everything of a deleted registry.

Rows go first, with a job for the bytes in the same transaction: a crash leaves garbage that a job still knows of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from darsena.core.errors import Problem
from darsena.db import Database, Tx
from darsena.jobs import Job, JobKind, enqueue
from darsena.jobs.wake import Wake, pause
from darsena.storage.port import ObjectStore
from darsena.tasks import agent_store, queue_store, run_store, source_store
from darsena.tasks.ending import Credentials
from darsena.tasks.events import RunRemoved
from darsena.tasks.logs import RunLogs
from darsena.tasks.streams import Streams

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.tasks")

SOURCE_US = 24 * 3600 * 1_000_000
"""After the upload, or after the end of the last run that used it."""

DELETE_SOURCE = "source.delete"
DELETE_LOG = "run_log.delete"
PURGE_REGISTRY = "registry.purge"

_DAY_US = 24 * 3600 * 1_000_000
_EVERY_S = 600.0
_BATCH = 200


class Bytes(msgspec.Struct, frozen=True):
    """The body of a job that removes bytes."""

    registry_uid: str
    name: str


class Retention:
    def __init__(
        self,
        db: Database,
        *,
        sources: ObjectStore,
        logs: RunLogs,
        streams: Streams,
        credentials: Credentials,
        wake: Wake,
        drop_registry: Callable[[str], Awaitable[None]],
        keep_runs_days: int = 30,
    ) -> None:
        self._db = db
        self._sources = sources
        self._logs = logs
        self._streams = streams
        self._credentials = credentials
        self._wake = wake
        self._drop_registry = drop_registry
        self._keep_runs_days = keep_runs_days

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.sweep()
            except Problem as problem:
                _log.warning("retention_failed", error=problem.message)
            except Exception:
                _log.exception("retention_failed")
            await pause(stop, _EVERY_S)

    async def sweep(self) -> int:
        """Remove what is due now; returns how many sources and runs that were."""
        total = 0
        for step in (self._sweep_sources, self._sweep_runs):
            while count := await self._db.transact(step):
                total += count
        await self._db.transact(lambda tx: agent_store.delete_agents(tx, tx.now_us - _DAY_US))
        return total

    def _sweep_sources(self, tx: Tx) -> int:
        removed = source_store.delete_unused(tx, tx.now_us - SOURCE_US, _BATCH)
        for registry_uid, name in removed:
            enqueue(tx, DELETE_SOURCE, f"{registry_uid}/{name}", msgspec.json.encode(Bytes(registry_uid, name)))
        return len(removed)

    def _sweep_runs(self, tx: Tx) -> int:
        expired = run_store.list_expired(tx, tx.now_us - self._keep_runs_days * _DAY_US, _BATCH)
        for run in expired:
            run_store.delete_run(tx, run.uid)
            event = RunRemoved(run_uid=run.uid, run_id=run.run_id)
            tx.emit(self._streams.find(tx, run.registry_uid), event)
            enqueue(tx, DELETE_LOG, run.uid, msgspec.json.encode(Bytes(run.registry_uid, run.uid)))
        return len(expired)

    def forget_registry(self, tx: Tx, registry_uid: str) -> None:
        """In the transaction that deletes the registry: its runs end without a trace, its bytes go by a job."""
        for run_uid in queue_store.delete_of_registry(tx, registry_uid):
            self._credentials.revoke(tx, run_uid)
        run_store.delete_of_registry(tx, registry_uid)
        source_store.delete_of_registry(tx, registry_uid)
        enqueue(tx, PURGE_REGISTRY, registry_uid)
        tx.after_commit(self._wake.notify)

    # --- jobs -----------------------------------------------------------------------------------------------------

    def list_kinds(self) -> list[JobKind]:
        return [
            JobKind(name=DELETE_SOURCE, handler=self._delete_source, limit=2),
            JobKind(name=DELETE_LOG, handler=self._delete_log, limit=2),
            JobKind(name=PURGE_REGISTRY, handler=self._purge_registry),
        ]

    async def _delete_source(self, job: Job) -> None:
        what = msgspec.json.decode(job.body, type=Bytes)
        await self._sources.delete(what.registry_uid, what.name)

    async def _delete_log(self, job: Job) -> None:
        what = msgspec.json.decode(job.body, type=Bytes)
        await self._logs.delete(what.registry_uid, what.name)

    async def _purge_registry(self, job: Job) -> None:
        await self._drop_registry(job.key)
