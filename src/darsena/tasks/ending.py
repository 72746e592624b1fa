"""How a run ends: the log first, then the row, the credential, the event and the queue in one transaction.

Whoever ends a run holds it under an owner and a fence. The server takes it first, so that an agent that is still there
has lost it before the log's last line is written, and so that a crash in between leaves it to the next reaper.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from darsena.core.clock import Clock
from darsena.core.errors import Problem
from darsena.core.failpoints import failpoint
from darsena.db import Database, Tx
from darsena.jobs.wake import Wake
from darsena.tasks import queue_store, run_store, source_store
from darsena.tasks.events import RunFinished
from darsena.tasks.logs import RunLogs, last_line
from darsena.tasks.model import Ending, Held, Run
from darsena.tasks.streams import Streams

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.tasks")


class Credentials(Protocol):
    """Of runs, as identity makes them. Inside the caller's transaction."""

    def create(
        self, tx: Tx, registry_uid: str, run_uid: str, lifetime_s: int, *, caller: str | None = None
    ) -> tuple[str, str]:
        """(user name, password). `caller` is the object id of whose rights the run has, where it has somebody's."""
        ...

    def revoke(self, tx: Tx, run_uid: str) -> None:
        """Idempotent."""
        ...


class RunEnder:
    def __init__(self, db: Database, *, logs: RunLogs, credentials: Credentials, streams: Streams, wake: Wake) -> None:
        self._db = db
        self._clock: Clock = db.clock
        self._logs = logs
        self._credentials = credentials
        self._streams = streams
        self._wake = wake

    async def end_taken(self, held: Held) -> Run | None:
        """A run that the server took with its ending."""
        assert held.end_status is not None
        return await self.end(held, Ending(status=held.end_status, error=held.end_error), writes_last_line=True)

    async def end(self, held: Held, ending: Ending, *, writes_last_line: bool) -> Run | None:
        """The ended run; None, and nothing written to the database, when it is not held under this fence any more.

        A log that cannot be written does not keep the run from ending.
        """
        run = await self._db.read(run_store.find_run_by_uid, held.uid)
        if run is None or held.owner is None:
            return None
        async with self._logs.hold(held.uid):
            if not await self._db.read(_is_held, held):
                return None
            line = last_line(run, ending, self._clock.now_us()) if writes_last_line else ""
            try:
                size = await self._logs.complete(run, line)
            except Problem as problem:
                _log.warning("run_log_not_completed", run=run.uid, error=problem.message)
                size = run.log_size
            failpoint("run.before_end")
            ended = await self._db.transact(self.close, held, ending, size)
        failpoint("run.after_end")
        return ended

    def close(self, tx: Tx, held: Held, ending: Ending, log_size: int) -> Run | None:
        """The end itself, in one transaction."""
        assert held.owner is not None
        before = run_store.find_run_by_uid(tx, held.uid)
        if before is None or queue_store.remove(tx, held.uid, held.owner, held.fence) is None:
            return None
        run = run_store.finish_run(tx, held.uid, ending, log_size)
        if run.source_name is not None:
            source_store.touch_source(tx, run.registry_uid, run.source_name)
        self._credentials.revoke(tx, held.uid)
        event = RunFinished(
            run_uid=run.uid,
            run_id=run.run_id,
            previous_status=before.status,
            status=run.status,
            error=run.error,
            output_images=run.output_images,
            dependencies=run.dependencies,
            created_at=run.created_at_us,
            started_at=run.started_at_us,
            task=run.task_name,
        )
        tx.emit(self._streams.find(tx, run.registry_uid), event)
        tx.after_commit(self._wake.notify)
        return run


def _is_held(tx: Tx, held: Held) -> bool:
    now = queue_store.find_held(tx, held.uid)
    return now is not None and (now.owner, now.fence) == (held.owner, held.fence)
