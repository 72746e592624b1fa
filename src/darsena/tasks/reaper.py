"""Ends runs that nobody else will end: their agent is gone, their time is over, no agent can do them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from darsena.core.errors import Problem
from darsena.db import Database, Tx
from darsena.jobs.lease import LEASE_S, LeaseWatch, lease_now_us
from darsena.jobs.wake import pause
from darsena.tasks import queue_store
from darsena.tasks.agents import AGENT_LOST
from darsena.tasks.ending import RunEnder
from darsena.tasks.model import DEFAULT_POOL, Ending, Held
from darsena.tasks.places import find_refusal, list_live_agents

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.tasks")

TIMED_OUT = "the run's time was over and its agent did not end it"
_EVERY_S = 1.0


class RunReaper:
    """Any number of them may run; each run is ended by one."""

    def __init__(
        self,
        db: Database,
        ender: RunEnder,
        *,
        server: str,
        lease_s: int = LEASE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._ender = ender
        self._server = server
        self._lease_us = lease_s * 1_000_000
        self._watch = LeaseWatch(db.clock, lease_s=lease_s, monotonic=monotonic)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.reap()
            except Problem as problem:
                _log.warning("runs_not_reaped", error=problem.message)
            except Exception:
                _log.exception("runs_not_reaped")
            await pause(stop, _EVERY_S)

    async def reap(self) -> int:
        """One look; returns how many runs it ended. Lapsed leases count only once the watch is settled."""
        is_settled = self._watch.is_settled()
        if not await self._db.read(queue_store.has_any):
            return 0
        taken = await self._db.transact(self._take, is_settled)
        for held in taken:
            _log.warning("run_ended_by_server", run=held.uid, status=held.end_status, error=held.end_error)
            await self._ender.end_taken(held)
        return len(taken)

    def _take(self, tx: Tx, is_settled: bool) -> Sequence[Held]:
        now_us = lease_now_us(tx)
        until_us = now_us + self._lease_us
        taken = queue_store.take_overdue(
            tx, owner=self._server, error=TIMED_OUT, now_us=now_us, lease_until_us=until_us
        )
        if is_settled:
            taken += queue_store.take_lapsed(
                tx, owner=self._server, error=AGENT_LOST, now_us=now_us, lease_until_us=until_us
            )
        queue_store.shorten_leases(tx, until_us)
        return [*taken, *self._take_hopeless(tx, now_us, until_us)]

    def _take_hopeless(self, tx: Tx, now_us: int, until_us: int) -> list[Held]:
        waiting = queue_store.list_waiting(tx, DEFAULT_POOL)
        agents = list_live_agents(tx, DEFAULT_POOL, now_us) if waiting else []
        taken: list[Held] = []
        for held in waiting:
            refusal = find_refusal(agents, held)
            if refusal is None:
                continue
            ending = Ending(status=refusal.status, error=refusal.error)
            row = queue_store.take_waiting(tx, held.uid, ending, owner=self._server, lease_until_us=until_us)
            taken += [row] if row is not None else []
        return taken
