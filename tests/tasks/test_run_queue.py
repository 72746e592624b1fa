"""The queue: claimed once, in order, as much as fits, fair; every later write under owner and fence."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from darsena.core.errors import Throttled
from darsena.db import Tx
from darsena.jobs.lease import LEASE_S
from darsena.tasks import queue_store, run_store
from darsena.tasks.errors import RunLost
from darsena.tasks.events import RunStarted
from darsena.tasks.model import Claimant, Ending
from runs_world import AGENT, World


async def test_a_run_goes_from_queued_to_its_end(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    assert run.status == "Queued"
    order = await world.claim()
    assert (order.run_id, order.fence, order.cpu, order.lease_s) == (run.run_id, 1, 2, LEASE_S)
    assert (await world.get(run)).status == "Started"
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    assert (await world.get(run)).status == "Running"
    world.pass_time(3)
    await world.finish(order)
    ended = await world.get(run)
    assert (ended.status, ended.log_word, ended.error) == ("Succeeded", "successful", None)
    assert ended.finished_at_us == world.clock.now_us()
    assert await world.kinds() == ["run.queued", "run.started", "run.executed", "run.finished"]


async def test_run_ids_count_up_within_each_registry(world: World) -> None:
    first, second = await world.schedule(), await world.schedule()
    other = await world.schedule("reg20")
    assert first.run_id[0] == "c"
    assert (first.run_id[2:], second.run_id[2:], other.run_id[2:]) == ("1", "2", "1")
    assert first.run_id[:2] == second.run_id[:2]


async def test_first_come_first_served(world: World) -> None:
    await world.hello(cpu=64)
    runs = [await world.schedule() for _ in range(3)]
    orders = [await world.claim(cpu=64) for _ in range(3)]
    assert [order.run_id for order in orders] == [run.run_id for run in runs]
    assert await world.find_order(cpu=64) is None


async def test_registries_take_turns(world: World) -> None:
    await world.hello(cpu=64)
    for _ in range(3):
        await world.schedule("reg10")
    await world.schedule("reg20")
    names = [(await world.claim(cpu=64)).registry.name for _ in range(4)]
    assert names == ["reg10", "reg20", "reg10", "reg10"]


async def test_a_run_gets_no_more_processors_than_the_pool_has(world: World) -> None:
    for asked, agent_cpu, expected in [(2, 1, 1), (2, 2, 2), (64, 4, 4), (None, 1, 1), (1, 8, 1)]:
        await world.hello(cpu=agent_cpu)
        wanted: dict[str, Any] = {} if asked is None else {"agentConfiguration": {"cpu": asked}}
        await world.schedule(**wanted)
        order = await world.claim(cpu=agent_cpu)
        assert order.cpu == expected
        await world.finish(order)


async def test_the_sum_of_processors_is_the_limit_whatever_the_agent_says(world: World) -> None:
    await world.hello(cpu=4)
    for _ in range(3):
        await world.schedule()
    first = await world.claim(cpu=4)
    await world.claim(cpu=4)
    assert await world.find_order(cpu=4) is None
    await world.finish(first)
    await world.claim(cpu=4)


async def test_a_smaller_run_passes_one_that_does_not_fit_but_not_for_ever(world: World) -> None:
    await world.hello(cpu=4)
    await world.schedule(agentConfiguration={"cpu": 2})
    busy = await world.claim(cpu=4)
    big = await world.schedule(agentConfiguration={"cpu": 4})
    await world.schedule(agentConfiguration={"cpu": 1})
    small = await world.claim(cpu=4)
    assert small.cpu == 1
    await world.finish(small)
    world.pass_time(queue_store.PATIENCE_US / 1_000_000 + 1)
    await world.tasks.agents.beat(busy.run_uid, AGENT, busy.fence)
    await world.schedule(agentConfiguration={"cpu": 1})
    assert await world.find_order(cpu=4) is None
    await world.finish(busy)
    assert (await world.claim(cpu=4)).run_id == big.run_id


async def test_only_platforms_that_the_agent_has(world: World) -> None:
    await world.hello(platforms=["linux/amd64", "linux/arm64/v8", "Linux/x86"])
    wanted = await world.schedule(platform={"os": "Linux", "architecture": "ARM64"})
    assert await world.find_order(platforms=("linux/amd64",)) is None
    order = await world.find_order(platforms=("linux/arm64/v8",))
    assert order is not None
    assert order.run_id == wanted.run_id
    assert order.platform.architecture == "arm64"
    await world.finish(order)
    await world.schedule(platform={"os": "linux", "architecture": "386"})
    assert await world.find_order(platforms=("linux/x86",)) is not None


async def test_many_agents_never_get_the_same_run(world: World) -> None:
    for _ in range(30):
        await world.schedule(agentConfiguration={"cpu": 1})
    taken: list[str] = []
    lock = threading.Lock()

    def work(agent: str) -> None:
        claimant = Claimant(agent=agent, pool="default", cpu=64, platforms=("linux/amd64",))

        def claim(tx: Tx) -> str | None:
            until_us = tx.now_us + LEASE_S * 1_000_000
            held = queue_store.claim(
                tx, claimant, agent_cpu=64, pool_cpu=None, now_us=tx.now_us, lease_until_us=until_us
            )
            if held is None:
                return None
            run_store.set_status(tx, held.uid, "Started")
            tx.emit("registry:x@y", RunStarted(run_uid=held.uid, run_id="ca1", agent=agent))
            return held.uid

        while uid := world.db.transact_sync(claim):
            with lock:
                taken.append(uid)

    threads = [threading.Thread(target=work, args=(f"agent-{index}",)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 30


async def test_a_write_under_another_owner_or_fence_is_lost(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()
    agents = world.tasks.agents
    for uid, agent, fence in [
        ("0" * 32, AGENT, order.fence),
        (order.run_uid, "agent-2", order.fence),
        (order.run_uid, AGENT, order.fence + 1),
        (order.run_uid, AGENT, order.fence - 1),
    ]:
        with pytest.raises(RunLost):
            await agents.beat(uid, agent, fence)
        with pytest.raises(RunLost):
            await agents.append_log(uid, agent, fence, 0, b"x\r\n")
        with pytest.raises(RunLost):
            await agents.finish(uid, agent, fence, Ending(status="Succeeded"))
        if agent == AGENT:
            with pytest.raises(RunLost):
                await agents.read_source(uid, fence)
    assert (await world.get(order)).status == "Started"


async def test_after_the_end_every_write_is_lost(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()
    await world.finish(order, "Failed", error="exit status 1")
    for status in ("Succeeded", "Failed"):
        with pytest.raises(RunLost):
            await world.finish(order, status)
    with pytest.raises(RunLost):
        await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"late\r\n")
    assert (await world.get(order)).status == "Failed"


async def test_a_waiting_claim_gets_a_run_as_soon_as_it_is_scheduled(world: World) -> None:
    await world.hello()
    claimant = Claimant(agent=AGENT, pool="default", cpu=2, platforms=("linux/amd64",))
    waiting = asyncio.create_task(world.tasks.agents.claim(claimant, 20))
    run = await world.schedule()
    order = await asyncio.wait_for(waiting, 10)
    assert order is not None
    assert order.run_id == run.run_id


async def test_who_waits_is_answered_when_the_server_ends_soon(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()
    claimant = Claimant(agent=AGENT, pool="default", cpu=2, platforms=("linux/amd64",))
    beat = asyncio.create_task(world.tasks.agents.beat(order.run_uid, AGENT, order.fence, wait_s=20))
    claim = asyncio.create_task(world.tasks.agents.claim(claimant, 20))
    await asyncio.sleep(0)
    world.tasks.agents.stop_waiting()
    assert await asyncio.wait_for(claim, 10) is None
    assert not (await asyncio.wait_for(beat, 10)).cancel


async def test_a_claim_whose_agent_has_gone_leaves_the_run_queued(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    claimant = Claimant(agent=AGENT, pool="default", cpu=2, platforms=("linux/amd64",))
    for gone_at in ([False, True, True, True], [False, False, True, True]):  # before, and while, the order is made
        assert await world.tasks.agents.claim(claimant, 0, is_gone=iter(gone_at).__next__) is None
        again = await world.get(run)
        assert (again.status, again.started_at_us) == ("Queued", None)
    assert (await world.claim()).fence == 3
    assert await world.kinds() == ["run.queued", *["run.started", "run.requeued"] * 2, "run.started"]


async def test_a_queued_run_says_where_it_stands_and_why(world: World) -> None:
    first = await world.schedule()
    second = await world.schedule()
    runs = world.tasks.runs
    place = await runs.find_place(first)
    assert place is not None
    assert (place.position, place.reason) == (1, "no build agent is connected")
    await world.hello()
    place = await runs.find_place(second)
    assert place is not None
    assert (place.position, place.reason) == (2, "1 run is ahead of it")
    await world.claim()
    place = await runs.find_place(second)
    assert place is not None
    assert (place.position, place.reason) == (1, "running builds use 2 of 2 processors")
    assert await runs.find_place(await world.get(first)) is None


async def test_too_many_runs_at_once_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darsena.tasks.service.MOST_UNFINISHED", 2)
    for _ in range(2):
        await world.schedule()
    with pytest.raises(Throttled):
        await world.schedule()
    await world.schedule("reg20")
