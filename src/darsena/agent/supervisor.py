"""The agent's life: hello, sweep, claim while there is room, watch over each run's lease, end in order."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress

import structlog

from darsena.agent.client import Refused, RunLost, ServerClient, ServerUnavailable
from darsena.agent.egress import EgressPolicy
from darsena.agent.protocol import RunOrder, list_taken, to_message
from darsena.agent.run import RunExecution
from darsena.agent.settings import AgentSettings
from darsena.agent.source import SourceFetcher
from darsena.core.clock import Clock
from darsena.engine.port import Engine, EngineInfo

_log = structlog.get_logger(__name__)
_BEAT_S = 1.0
"""Shorter than the lease asks for: a beat carries the wish to cancel."""
_PARENT_S = 1.0
_SWEEP_S = 3600.0
_CPU_LEAST = 0.001


class Supervisor:
    def __init__(self, settings: AgentSettings, client: ServerClient, engine: Engine, clock: Clock) -> None:
        self._settings = settings
        self._client = client
        self._engine = engine
        self._clock = clock
        policy = EgressPolicy(server=settings.server_address, allowed=settings.allow_sources)
        self._fetcher = SourceFetcher(client, engine, policy)
        self._runs: dict[RunExecution, asyncio.Task[None]] = {}
        self._room = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Stop claiming; what runs gets its grace."""
        self._ending.set()

    async def serve(self) -> None:
        """Until `end` is called or the parent is gone, and all runs are over."""
        info = await self._engine.probe()
        for fault in info.faults:
            _log.warning("engine_fault", text=fault.text, fix=fault.fix)
        dead = await self._engine.sweep()
        _log.info("agent_started", mode=info.mode, version=info.version, cpu=self._settings.cpu, swept=len(dead))
        loops = [asyncio.create_task(self._claim_for_ever(info, dead)), asyncio.create_task(self._sweep_for_ever())]
        parent = asyncio.create_task(self._watch_parent())
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({parent, ending, loops[0]}, return_when=asyncio.FIRST_COMPLETED)
            await _cancel(*loops)
            # Without a parent the runs go on while the server keeps their leases; told to end, they get the grace.
            await self._let_runs_end(None if parent.done() and not self._ending.is_set() else self._settings.grace_s)
        finally:
            await _cancel(*loops, parent, ending)
            await self._stop_runs()

    async def _claim_for_ever(self, info: EngineInfo, dead: list[str]) -> None:
        """Greets first, and anew whenever the server was away: runs may have ended or been given unheard."""
        pause = 0.2
        greeted = False
        while True:
            try:
                if not greeted:
                    await self._client.hello(to_message(info), [run.order.run_uid for run in self._runs], dead)
                    greeted = True
                order = await self._claim(info)
                pause = 0.2
            except (ServerUnavailable, RunLost, Refused) as e:
                _log.warning("server_unavailable", reason=str(e))
                greeted = False
                await asyncio.sleep(pause + random.uniform(0, 0.1))  # noqa: S311 - spreads agents, hides nothing
                pause = min(pause * 2, 5.0)
                continue
            if order is not None:
                self._begin(order, info)

    async def _claim(self, info: EngineInfo) -> RunOrder | None:
        free = self._free_cpu()
        if free <= _CPU_LEAST:
            self._room.clear()
            await self._room.wait()
            return None
        return await self._client.claim(free, list_taken(info))

    def _free_cpu(self) -> float:
        return self._settings.cpu - sum(min(run.order.cpu, self._settings.cpu) for run in self._runs)

    def _begin(self, order: RunOrder, info: EngineInfo) -> None:
        _log.info("run_started", run=order.run_id, registry=order.registry.name)
        run = RunExecution(order, self._client, self._engine, info, self._fetcher, self._clock)
        task = asyncio.create_task(self._execute(run))
        self._runs[run] = task
        task.add_done_callback(lambda _: self._forget(run))

    def _forget(self, run: RunExecution) -> None:
        del self._runs[run]
        self._room.set()
        _log.info("run_ended", run=run.order.run_id)

    async def _execute(self, run: RunExecution) -> None:
        watch = asyncio.create_task(self._beat_for_ever(run))
        try:
            await run.execute()
        except Exception:
            _log.exception("run_crashed", run=run.order.run_id)
        finally:
            await _cancel(watch)

    async def _beat_for_ever(self, run: RunExecution) -> None:
        """Until the run is over. A lease that lapses unrenewed ends the run here, before anybody else may start it."""
        held_until = time.monotonic() + run.order.lease_s
        while True:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(max(0.1, held_until - begun)):
                    answer = await self._client.beat(run.order)
                held_until = begun + answer.lease_s
                if answer.cancel:
                    run.stop("canceled")
            except RunLost:
                run.stop("lost")
                return
            except (ServerUnavailable, Refused, TimeoutError):
                if time.monotonic() >= held_until:
                    run.stop("lost")
                    return
            await asyncio.sleep(min(_BEAT_S, run.order.lease_s / 4))

    async def _let_runs_end(self, grace_s: float | None) -> None:
        if self._runs:
            await asyncio.wait(set(self._runs.values()), timeout=grace_s)

    async def _stop_runs(self) -> None:
        tasks = set(self._runs.values())
        for run in list(self._runs):
            run.stop("stopped")
        if tasks:
            await asyncio.wait(tasks, timeout=20)

    async def _watch_parent(self) -> None:
        """Returns when the process that started the agent has ended. Never for one started by init."""
        parent = self._settings.parent
        if parent is None or parent == 1:
            await asyncio.Event().wait()
        while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(_PARENT_S)
        _log.warning("parent_gone", parent=parent)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self._engine.sweep()


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
