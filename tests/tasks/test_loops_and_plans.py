"""Loops end when they are told to and outlive a failure; what is asked often goes through an index."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, text

from darsena.core.errors import Unavailable
from darsena.db import Database, Tx
from darsena.jobs.lease import lease_now_us
from darsena.tasks import queue_store, run_store, source_store
from darsena.tasks.filters import parse_filter
from darsena.tasks.model import DEFAULT_POOL
from darsena.tasks.places import list_live_agents
from darsena.usage import UsageReader
from runs_world import World


@pytest.mark.parametrize("name", ["reaper", "retention", "usage"])
async def test_a_loop_outlives_failures_and_ends_at_once(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [Unavailable("the database does not answer"), ValueError("a defect")]
    looked = asyncio.Event()

    async def look(*_: object) -> int:
        if failures:
            raise failures.pop()
        looked.set()
        return 0

    async def hurry(stop: asyncio.Event, timeout_s: float) -> None:
        await original(stop, 0.001)

    loops: dict[str, tuple[Any, str]] = {
        "reaper": (world.tasks.reaper, "reap"),
        "retention": (world.tasks.retention, "sweep"),
        "usage": (UsageReader(world.db, lambda *_: True), "catch_up"),
    }
    loop, step = loops[name]
    module = type(loop).__module__
    monkeypatch.setattr(type(loop), step, look)
    original = __import__(module, fromlist=["pause"]).pause
    monkeypatch.setattr(f"{module}.pause", hurry)
    stop = asyncio.Event()
    running = asyncio.create_task(loop.run(stop))
    await asyncio.wait_for(looked.wait(), 10)
    stop.set()
    await asyncio.wait_for(running, 10)


def plan_of(db: Database, fn: Any, *args: Any, **kwargs: Any) -> str:
    """How the database reads what the function asks."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(db.reading, "before_cursor_execute", note)
    try:
        db.read_sync(fn, *args, **kwargs)
    finally:
        event.remove(db.reading, "before_cursor_execute", note)

    def explain(tx: Tx) -> str:
        lines: list[str] = []
        if not db.is_sqlite:
            tx.connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in seen:
            words = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"
            rows = tx.connection.exec_driver_sql(f"{words} {statement}", parameters)
            lines += [str(row[-1]) for row in rows]
        return "\n".join(lines)

    assert seen
    return db.read_sync(explain)


async def test_what_is_asked_often_goes_through_an_index(world: World) -> None:
    run = await world.schedule()
    uid, registry = run.uid, run.registry_uid
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (run_store.find_run, (registry, run.run_id), {}),
        (run_store.find_run_by_uid, (uid,), {}),
        (run_store.list_runs, (registry,), {"limit": 15}),
        (run_store.list_runs, (registry,), {"limit": 15, "before": 7, "test": parse_filter("Status eq 'Queued'")}),
        (run_store.list_expired, (1, 200), {}),
        (queue_store.find_held, (uid,), {}),
        (queue_store.has_waiting, ("default",), {}),
        (queue_store.count_of_registry, (registry,), {}),
        (source_store.find_source, (registry, "source/x"), {}),
    ]
    for fn, args, kwargs in calls:
        plan = plan_of(world.db, fn, *args, **kwargs)
        assert "Seq Scan" not in plan, plan
        assert not any(line.startswith("SCAN") for line in plan.splitlines()), plan
        assert "TEMP B-TREE" not in plan, plan


def live_agents(world: World) -> list[str]:
    found = world.db.read_sync(lambda tx: list_live_agents(tx, DEFAULT_POOL, lease_now_us(tx)))
    return [agent.id for agent in found]


async def test_live_agents_are_those_that_were_heard_of(world: World) -> None:
    await world.hello("agent-1")
    world.pass_time(80)
    await world.hello("agent-2")
    assert live_agents(world) == ["agent-1", "agent-2"]
    world.pass_time(20)
    assert live_agents(world) == ["agent-2"]
    await world.find_order("agent-1")
    assert live_agents(world) == ["agent-1", "agent-2"]
    world.pass_time(2 * 24 * 3600)
    await world.tasks.retention.sweep()
    assert live_agents(world) == []
