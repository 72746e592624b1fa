"""What agents do: say what they can, claim a run, renew its lease, write its log, end it.

An agent never touches the database. Each of its writes names the run, itself and the fence it was given; RunLost tells
it that the run is not its own any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from darsena.core.errors import Problem, ResourceUnknown
from darsena.core.failpoints import failpoint
from darsena.db import Database, Tx
from darsena.jobs.lease import LEASE_S, lease_now_us
from darsena.jobs.wake import Wake
from darsena.storage.port import ObjectStore
from darsena.tasks import agent_store, queue_store, run_store
from darsena.tasks.ending import RunEnder
from darsena.tasks.errors import RunLost
from darsena.tasks.events import RunExecuted, RunRequeued, RunStarted
from darsena.tasks.logs import RunLogs
from darsena.tasks.model import AgentRow, Claimant, Ending, Held, Run
from darsena.tasks.orders import Orders, RunOrder
from darsena.tasks.platforms import normalize_platform
from darsena.tasks.streams import Streams

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.tasks")

LONGEST_WAIT_S = 25.0
TIMEOUT_GRACE_S = 120
"""How much longer than the run's own time its agent may take to end it before the server does."""
AGENT_LOST = "agent lost"
RESTARTED = "agent lost: it was started again"

_POLL_S = 1.0
_LEASE_US = LEASE_S * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    cancel: bool


class AgentService:
    """`pool_cpu` limits what all runs use together; None: what the agents have."""

    def __init__(
        self,
        db: Database,
        *,
        orders: Orders,
        ender: RunEnder,
        logs: RunLogs,
        sources: ObjectStore,
        streams: Streams,
        wake: Wake,
        server: str,
        pool_cpu: int | None = None,
    ) -> None:
        self._db = db
        self._orders = orders
        self._ender = ender
        self._logs = logs
        self._sources = sources
        self._streams = streams
        self._wake = wake
        self._server = server
        self._pool_cpu = pool_cpu
        self._waits = True

    def stop_waiting(self) -> None:
        """The server ends soon: who waits is answered now, and asks the next one."""
        self._waits = False
        self._wake.notify()

    async def hello(
        self, agent: str, pool: str, info: dict[str, Any], kept: Sequence[str] | None, dead: Sequence[str] = ()
    ) -> None:
        """An agent is there. `kept` are the runs it still works on, when it says so: others that it held are lost, or,
        when it never had them, wait again. `dead` are runs whose agent it found ended."""
        platforms = tuple(normalize_platform(str(text)) for text in info.get("platforms") or ())
        row = AgentRow(
            id=agent, pool=pool, cpu=max(int(info.get("cpu") or 1), 1), platforms=platforms, info=info, seen_at_us=0
        )

        def write(tx: Tx) -> list[Held]:
            now_us = lease_now_us(tx)
            agent_store.put_agent(tx, replace(row, seen_at_us=now_us))
            tx.after_commit(self._wake.notify)
            until_us = now_us + _LEASE_US
            taken = queue_store.take_lost(tx, dead, owner=self._server, error=AGENT_LOST, lease_until_us=until_us)
            lost = [] if kept is None else self._give_back_unknown(tx, agent, kept, now_us)
            return taken + queue_store.take_lost(tx, lost, owner=self._server, error=RESTARTED, lease_until_us=until_us)

        for held in await self._db.transact(write):
            await self._ender.end_taken(held)

    def _give_back_unknown(self, tx: Tx, agent: str, kept: Sequence[str], now_us: int) -> list[str]:
        """Of what the agent holds and does not know of: what it cannot have begun waits again; the rest is returned.

        An agent renews the lease as soon as it has an order. One that was never renewed and still holds got lost with
        the answer that carried it.
        """
        lost: list[str] = []
        for held in queue_store.list_held_by(tx, agent):
            if held.uid in kept:
                continue
            run = run_store.find_run_by_uid(tx, held.uid)
            if run is not None and run.status == "Started" and (held.lease_until_us or 0) > now_us:
                self._give_back(tx, held)
            else:
                lost.append(held.uid)
        return lost

    # --- claiming -----------------------------------------------------------------------------------------------

    async def claim(
        self, claimant: Claimant, wait_s: float, is_gone: Callable[[], bool] = lambda: False
    ) -> RunOrder | None:
        """The next run for this agent, waited for at most `wait_s`. None also when the agent has gone meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait_s, LONGEST_WAIT_S)
        claimant = replace(claimant, platforms=tuple(normalize_platform(text) for text in claimant.platforms))
        await self._db.transact(self._see, claimant)
        while not is_gone():
            seen = self._wake.generation
            if await self._db.read(queue_store.has_waiting, claimant.pool):
                held = await self._db.transact(self._claim, claimant)
                if held is not None:
                    order = await self._make_order(held, is_gone)
                    if order is not None:
                        return order
                    continue
            left_s = deadline - loop.time()
            if left_s <= 0 or not self._waits:
                return None
            await self._wake.wait(seen, min(left_s, _POLL_S))
        return None

    def _see(self, tx: Tx, claimant: Claimant) -> None:
        """An agent that this database has not heard of yet is known by what it asks."""
        if agent_store.find_agent(tx, claimant.agent) is not None:
            agent_store.touch_agent(tx, claimant.agent, lease_now_us(tx))
            return
        row = AgentRow(
            id=claimant.agent,
            pool=claimant.pool,
            cpu=max(claimant.cpu, 1),
            platforms=claimant.platforms,
            info={},
            seen_at_us=lease_now_us(tx),
        )
        agent_store.put_agent(tx, row)

    def _claim(self, tx: Tx, claimant: Claimant) -> Held | None:
        now_us = lease_now_us(tx)
        row = agent_store.find_agent(tx, claimant.agent)
        held = queue_store.claim(
            tx,
            claimant if claimant.platforms or row is None else replace(claimant, platforms=row.platforms),
            agent_cpu=claimant.cpu if row is None else row.cpu,
            pool_cpu=self._pool_cpu,
            now_us=now_us,
            lease_until_us=now_us + _LEASE_US,
        )
        if held is not None:
            run = run_store.set_status(tx, held.uid, "Started")
            event = RunStarted(run_uid=run.uid, run_id=run.run_id, agent=claimant.agent)
            tx.emit(self._streams.find(tx, run.registry_uid), event)
        return held

    async def _make_order(self, held: Held, is_gone: Callable[[], bool]) -> RunOrder | None:
        """None when nobody is there to take it, or when it cannot be carried out: it has ended then."""
        failpoint("run.claimed")
        try:
            order = None if is_gone() else await self._db.transact(self._orders.make, held)
        except Problem as problem:
            _log.warning("run_not_ordered", run=held.uid, error=problem.message)
            await self._ender.end(held, Ending(status="Error", error=problem.message), writes_last_line=True)
            return None
        if order is None or is_gone():
            await self._db.transact(self._give_back, held)
            return None
        return order

    def _give_back(self, tx: Tx, held: Held) -> None:
        assert held.owner is not None
        if queue_store.give_back(tx, held.uid, held.owner, held.fence) is not None:
            run = run_store.set_status(tx, held.uid, "Queued")
            tx.emit(self._streams.find(tx, run.registry_uid), RunRequeued(run_uid=run.uid, run_id=run.run_id))
            tx.after_commit(self._wake.notify)

    # --- while it runs --------------------------------------------------------------------------------------------

    async def beat(self, run_uid: str, agent: str, fence: int, wait_s: float = 0.0) -> Beat:
        """Renew the lease; the run is Running from the first beat on. Raises RunLost.

        With `wait_s` the answer comes after that time, or as soon as the run is to be canceled.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait_s, LONGEST_WAIT_S)
        seen = self._wake.generation
        held = await self._db.transact(self._beat, run_uid, agent, fence)
        while self._waits and not held.cancel_requested and (left_s := deadline - loop.time()) > 0:
            await self._wake.wait(seen, min(left_s, _POLL_S))
            seen = self._wake.generation
            held = await self._db.read(_get_held, run_uid, agent, fence)
        return Beat(cancel=held.cancel_requested)

    def _beat(self, tx: Tx, run_uid: str, agent: str, fence: int) -> Held:
        now_us = lease_now_us(tx)
        held = queue_store.extend(tx, run_uid, agent, fence, now_us + _LEASE_US)
        if held is None:
            raise RunLost(run_uid)
        agent_store.touch_agent(tx, agent, now_us)
        self._ensure_running(tx, held)
        return held

    def _ensure_running(self, tx: Tx, held: Held) -> None:
        run = run_store.find_run_by_uid(tx, held.uid)
        if run is not None and run.status == "Started":
            run = run_store.set_status(tx, held.uid, "Running")
            if not held.cancel_requested:
                lasts_us = (run.timeout_s + TIMEOUT_GRACE_S) * 1_000_000
                queue_store.set_deadline(tx, held.uid, lease_now_us(tx) + lasts_us)
            tx.emit(self._streams.find(tx, run.registry_uid), RunExecuted(run_uid=run.uid, run_id=run.run_id))

    async def append_log(self, run_uid: str, agent: str, fence: int, offset: int, data: bytes) -> int:
        """The log's new size. Raises RunLost, RangeNotSatisfiable for a gap."""
        async with self._logs.hold(run_uid):
            held = await self._db.read(_get_held, run_uid, agent, fence)
            size = await self._logs.append(held.registry_uid, run_uid, offset, data)
        failpoint("run.logged")
        return size

    async def read_source(self, run_uid: str, fence: int) -> tuple[int, AsyncIterator[bytes]]:
        """The uploaded source's size and bytes. Raises RunLost, ResourceUnknown."""
        run = await self._db.read(_get_run_of, run_uid, fence)
        size = None if run.source_name is None else await self._sources.stat(run.registry_uid, run.source_name)
        if run.source_name is None or size is None:
            raise ResourceUnknown(f"the run {run.run_id} has no uploaded source")
        return size, self._sources.read(run.registry_uid, run.source_name)

    async def finish(self, run_uid: str, agent: str, fence: int, ending: Ending) -> None:
        """What the agent has written of the log is all of it. Raises RunLost; the same end again is lost, too."""
        held = await self._db.read(_get_held, run_uid, agent, fence)
        if await self._ender.end(held, ending, writes_last_line=False) is None:
            raise RunLost(run_uid)


def _get_held(tx: Tx, run_uid: str, agent: str, fence: int) -> Held:
    held = queue_store.check(tx, run_uid, fence, agent)
    if held is None:
        raise RunLost(run_uid)
    return held


def _get_run_of(tx: Tx, run_uid: str, fence: int) -> Run:
    run = run_store.find_run_by_uid(tx, run_uid)
    if run is None or queue_store.check(tx, run_uid, fence) is None:
        raise RunLost(run_uid)
    return run
