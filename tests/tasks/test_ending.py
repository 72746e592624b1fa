"""Nothing stays Running: cancel, timeout, lost agents, restarts. Each run ends once, its log and credential with it."""

from __future__ import annotations

import asyncio

import pytest

from darsena.core.errors import Conflict, ResourceUnknown, StorageFull
from darsena.core.ids import new_uid
from darsena.identity.store import find_run
from darsena.jobs.lease import LEASE_S
from darsena.tasks.agents import RESTARTED, TIMEOUT_GRACE_S
from darsena.tasks.errors import RunLost
from darsena.tasks.model import Ending
from darsena.tasks.reaper import AGENT_LOST, RunReaper
from darsena.tasks.service import CANCEL_PATIENCE_S
from runs_world import AGENT, World

TENANT = "99999999-2222-4333-8444-555555555555"


def has_credential(world: World, run_uid: str) -> bool:
    return world.db.read_sync(find_run, run_uid, TENANT) is not None


def make_reaper(world: World) -> RunReaper:
    """That of a server which starts now."""
    return RunReaper(world.db, world.tasks.ender, server=f"server:{new_uid()}", monotonic=lambda: world.now)


async def settle(world: World) -> None:
    """Let the reaper's first lease pass, so that lapsed ones count."""
    await world.tasks.reaper.reap()
    world.pass_time(LEASE_S)


# --- lost agents ------------------------------------------------------------------------------------------------


async def test_a_run_whose_agent_is_lost_ends_once_as_error(world: World) -> None:
    await settle(world)
    await world.hello()
    await world.schedule()
    order = await world.claim()
    agents = world.tasks.agents
    await agents.beat(order.run_uid, AGENT, order.fence)
    await agents.append_log(order.run_uid, AGENT, order.fence, 0, b"Step 1/2\r\n")
    assert has_credential(world, order.run_uid)
    world.pass_time(LEASE_S - 1)
    assert await world.tasks.reaper.reap() == 0
    world.pass_time(2)
    assert await world.tasks.reaper.reap() == 1
    assert await world.tasks.reaper.reap() == 0
    run = await world.get(order)
    assert (run.status, run.error, run.log_word) == ("Error", AGENT_LOST, "internalerror")
    text = b"Step 1/2\r\n\r\nRun ID: %s failed after 1m1s. Error: agent lost\r\n" % run.run_id.encode()
    assert await world.log_of(run) == text
    assert run.log_size == len(text)
    assert not has_credential(world, order.run_uid)
    with pytest.raises(RunLost):
        await world.finish(order)
    assert (await world.kinds()).count("run.finished") == 1


async def test_after_a_server_start_the_reaper_waits_one_whole_lease(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()
    world.pass_time(LEASE_S * 10)  # the server was down; the agent was not
    reaper = make_reaper(world)
    assert await reaper.reap() == 0
    world.pass_time(LEASE_S - 1)
    assert await reaper.reap() == 0
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    world.pass_time(1)
    assert await reaper.reap() == 0
    await world.finish(order)
    assert (await world.get(order)).status == "Succeeded"


async def test_of_many_reapers_one_ends_the_run(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()
    reapers = [make_reaper(world) for _ in range(4)]
    world.pass_time(LEASE_S)
    counts = await asyncio.gather(*(reaper.reap() for reaper in reapers))
    assert sum(counts) == 1
    assert (await world.get(order)).status == "Error"
    assert (await world.kinds()).count("run.finished") == 1


async def test_an_agent_that_starts_again_gives_up_what_it_does_not_know(world: World) -> None:
    await world.hello(cpu=8)
    lost, kept = await world.schedule(), await world.schedule()
    orders = [await world.claim(cpu=8), await world.claim(cpu=8)]
    await world.tasks.agents.beat(orders[0].run_uid, AGENT, orders[0].fence)
    await world.hello(cpu=8)  # says nothing of its runs: nothing is concluded
    assert (await world.get(lost)).status == "Running"
    await world.hello(cpu=8, kept=[orders[1].run_uid])
    ended = await world.get(lost)
    assert (ended.status, ended.error) == ("Error", RESTARTED)
    await world.tasks.agents.beat(orders[1].run_uid, AGENT, orders[1].fence)
    assert (await world.get(kept)).status == "Running"


async def test_a_run_whose_order_never_arrived_waits_again(world: World) -> None:
    """The server died with the answer to the claim: the agent, which never had the run, claims it anew."""
    await world.hello(cpu=8)
    run = await world.schedule()
    first = await world.claim(cpu=8)
    await world.hello(cpu=8, kept=[])
    assert (await world.get(run)).status == "Queued"
    again = await world.claim(cpu=8)
    assert again.run_uid == first.run_uid
    assert again.fence > first.fence
    assert (await world.kinds()).count("run.requeued") == 1


async def test_an_order_whose_lease_is_over_is_not_given_out_again(world: World) -> None:
    """It may have been carried out without a single beat getting through."""
    await world.hello(cpu=8)
    run = await world.schedule()
    await world.claim(cpu=8)
    world.pass_time(LEASE_S)
    await world.hello(cpu=8, kept=[])
    assert ((await world.get(run)).status, (await world.get(run)).error) == ("Error", RESTARTED)


async def test_runs_of_an_agent_that_another_found_dead_end_at_once(world: World) -> None:
    await world.hello(cpu=8)
    run, other, waiting = await world.schedule(), await world.schedule(), await world.schedule()
    orders = [await world.claim(cpu=8), await world.claim(cpu=8)]
    await world.tasks.agents.beat(orders[0].run_uid, AGENT, orders[0].fence)
    await world.hello("another", kept=[], dead=[orders[0].run_uid, waiting.uid, "0" * 32])
    ended = await world.get(run)
    assert (ended.status, ended.error) == ("Error", AGENT_LOST)
    assert (await world.get(other)).status == "Started"
    assert (await world.get(waiting)).status == "Queued"


async def test_a_crash_between_taking_and_ending_leaves_it_to_the_next_reaper(world: World) -> None:
    """The server takes a run, dies, and starts again: the ending that it meant is carried out."""
    run = await world.schedule()
    taken = world.db.transact_sync(world.tasks.runs._take_or_flag, run)  # type: ignore[reportPrivateUsage]
    assert taken is not None
    await settle(world)
    assert await world.tasks.reaper.reap() == 1
    ended = await world.get(run)
    assert (ended.status, ended.error) == ("Canceled", None)
    assert await world.log_of(run) == b"Run ID: %s was canceled after 0s\r\n" % run.run_id.encode()


async def test_the_last_line_is_written_once(world: World) -> None:
    await settle(world)
    await world.hello()
    await world.schedule()
    order = await world.claim()
    line = b"Run ID: %s failed after 1m0s. Error: agent lost\r\n" % order.run_id.encode()
    row = await world.registry()
    await world.storage.logs.append(row.uid, order.run_uid, 0, line)  # by a reaper that died right after
    world.pass_time(LEASE_S)
    await world.tasks.reaper.reap()
    assert await world.log_of(order) == line


async def test_a_log_that_cannot_be_written_does_not_keep_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> int:
        raise StorageFull("the disk is full")

    await settle(world)
    await world.hello()
    await world.schedule()
    order = await world.claim()
    monkeypatch.setattr(world.storage.logs, "append", full)
    world.pass_time(LEASE_S)
    assert await world.tasks.reaper.reap() == 1
    assert (await world.get(order)).status == "Error"


async def test_a_clock_that_was_set_back_does_not_keep_a_dead_run(world: World) -> None:
    await settle(world)
    await world.hello()
    await world.schedule()
    order = await world.claim()
    world.clock.advance(-7200)
    await world.tasks.reaper.reap()
    for _ in range(2):
        world.pass_time(LEASE_S)
        await world.tasks.reaper.reap()
    assert (await world.get(order)).status == "Error"


async def test_the_processors_of_a_dead_agent_s_run_are_free_at_once(world: World) -> None:
    await world.hello(cpu=2)
    await world.schedule()
    await world.schedule()
    await world.claim()
    world.pass_time(LEASE_S)
    assert await world.find_order() is not None


# --- cancel -----------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_is_canceled_at_once(world: World) -> None:
    run = await world.schedule()
    await world.tasks.runs.cancel(run.registry_uid, run.run_id)
    ended = await world.get(run)
    assert (ended.status, ended.log_word) == ("Canceled", "canceled")
    await world.hello()
    assert await world.find_order() is None


async def test_a_run_that_an_agent_holds_is_canceled_by_the_agent(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    order = await world.claim()
    assert not (await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)).cancel
    await world.tasks.runs.cancel(run.registry_uid, run.run_id)
    await world.tasks.runs.cancel(run.registry_uid, run.run_id)
    assert (await world.get(run)).status == "Running"
    assert (await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)).cancel
    await world.finish(order, "Canceled")
    assert (await world.get(run)).log_word == "canceled"


async def test_a_waiting_beat_hears_of_the_cancel_at_once(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    order = await world.claim()
    beat = asyncio.create_task(world.tasks.agents.beat(order.run_uid, AGENT, order.fence, wait_s=20))
    while (await world.get(run)).status != "Running":
        continue
    await world.tasks.runs.cancel(run.registry_uid, run.run_id)
    assert (await asyncio.wait_for(beat, 10)).cancel


async def test_an_agent_that_does_not_heed_the_cancel_loses_the_run(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    order = await world.claim()
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    await world.tasks.runs.cancel(run.registry_uid, run.run_id)
    world.pass_time(CANCEL_PATIENCE_S - 1)
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    assert await world.tasks.reaper.reap() == 0
    world.pass_time(1)
    assert await world.tasks.reaper.reap() == 1
    ended = await world.get(run)
    assert (ended.status, ended.error) == ("Canceled", None)
    with pytest.raises(RunLost):
        await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)


async def test_a_run_that_has_ended_cannot_be_canceled(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    await world.finish(await world.claim())
    with pytest.raises(Conflict, match="Succeeded"):
        await world.tasks.runs.cancel(run.registry_uid, run.run_id)
    with pytest.raises(ResourceUnknown):
        await world.tasks.runs.cancel(run.registry_uid, "zz9")


async def test_cancels_and_claims_at_the_same_moment_agree(world: World) -> None:
    await world.hello(cpu=64)
    runs = [await world.schedule(agentConfiguration={"cpu": 1}) for _ in range(8)]
    claims = [world.find_order(cpu=64) for _ in runs]
    cancels = [world.tasks.runs.cancel(run.registry_uid, run.run_id) for run in runs]
    results = await asyncio.gather(*cancels, *claims)
    held = {order.run_id for order in results if order is not None}
    for run in runs:
        status = (await world.get(run)).status
        assert status == ("Started" if run.run_id in held else "Canceled")


# --- time -------------------------------------------------------------------------------------------------------


async def test_a_run_whose_time_is_over_is_ended_by_the_server_if_the_agent_does_not(world: World) -> None:
    await world.hello()
    run = await world.schedule(timeout=300)
    order = await world.claim()
    assert order.timeout_s == 300
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    world.pass_time(300 + TIMEOUT_GRACE_S - 1)
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    assert await world.tasks.reaper.reap() == 0
    world.pass_time(1)
    assert await world.tasks.reaper.reap() == 1
    ended = await world.get(run)
    assert (ended.status, ended.log_word) == ("Timeout", "timedout")
    assert b"timed out after 7m0s\r\n" in await world.log_of(run)


# --- what no agent can do ---------------------------------------------------------------------------------------


async def test_a_platform_that_no_agent_has_fails_with_the_reason(world: World) -> None:
    run = await world.schedule(platform={"os": "linux", "architecture": "arm64"})
    assert await world.tasks.reaper.reap() == 0
    await world.hello()
    assert await world.tasks.reaper.reap() == 1
    ended = await world.get(run)
    assert ended.status == "Failed"
    assert ended.error == "platform linux/arm64 needs emulation (binfmt) on the agent"
    assert ended.error.encode() in await world.log_of(run)


async def test_without_an_engine_a_run_ends_with_what_is_wrong(world: World) -> None:
    faults = [{"text": "podman is not installed", "fix": "apt install podman"}]
    await world.hello(engine="none", platforms=[], faults=faults)
    run = await world.schedule()
    assert await world.tasks.reaper.reap() == 1
    ended = await world.get(run)
    assert ended.status == "Error"
    assert ended.error == "no container engine on the agent: podman is not installed; apt install podman"


async def test_a_request_that_cannot_be_opened_ends_its_run(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    world.db.transact_sync(world.keyring.destroy, run.registry_uid)
    assert await world.find_order() is None
    assert (await world.get(run)).status == "Error"


async def test_deleting_the_registry_ends_its_runs_and_removes_everything(world: World) -> None:
    await world.hello()
    name = await world.upload()
    run = await world.schedule(sourceLocation=name)
    order = await world.claim()
    await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"x\r\n")
    waiting = await world.schedule()
    await world.resources.delete_registry("11111111-2222-4333-8444-555555555555", "rg1", "reg10")
    for lost in (run, waiting):
        with pytest.raises(ResourceUnknown):
            await world.tasks.runs.get(lost.registry_uid, lost.run_id)
    with pytest.raises(RunLost):
        await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    with pytest.raises(RunLost):
        await world.tasks.agents.finish(order.run_uid, AGENT, order.fence, Ending(status="Succeeded"))
    assert not has_credential(world, order.run_uid)
    assert await world.run_jobs() == 1
    assert await world.storage.logs.size(run.registry_uid, run.uid) is None
    assert await world.storage.sources.stat(run.registry_uid, name) is None
