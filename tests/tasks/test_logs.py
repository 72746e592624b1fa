"""Run logs: idempotent by offset, never two writers, complete at the end; signed addresses; what time removes."""

from __future__ import annotations

import pytest

from darsena.core.errors import ContentCorrupt, RangeNotSatisfiable, RequestTooLarge, ResourceUnknown
from darsena.tasks.errors import RunLost
from darsena.tasks.logs import LIMIT_BYTES, render_duration
from runs_world import AGENT, World


async def test_appending_is_idempotent_by_offset(world: World) -> None:
    await world.hello()
    await world.schedule()
    order = await world.claim()

    async def append(offset: int, data: bytes) -> int:
        return await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, offset, data)

    assert await append(0, b"one\r\n") == 5
    assert await append(0, b"one\r\n") == 5
    assert await append(0, b"one\r\ntwo\r\n") == 10
    with pytest.raises(RangeNotSatisfiable) as gap:
        await append(11, b"four\r\n")
    assert gap.value.size == 10
    with pytest.raises(RequestTooLarge):
        await append(LIMIT_BYTES, b"x")
    assert await world.log_of(order) == b"one\r\ntwo\r\n"


async def test_a_complete_log_is_as_long_as_its_row_says(world: World) -> None:
    await world.hello()
    run = await world.schedule()
    order = await world.claim()
    await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"one\r\n")
    await world.finish(order)
    with pytest.raises(RunLost):
        await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 5, b"late\r\n")
    row = await world.registry()
    signed = await sign(world, f"logs/{run.run_id}/rawtext.log")
    await world.storage.logs.append(row.uid, run.uid, 5, b"by accident\r\n")
    state = await world.tasks.blobs.find(signed)
    assert state is not None
    assert (state.size, state.word) == (5, "successful")
    await world.storage.logs.delete(row.uid, run.uid)
    await world.storage.logs.append(row.uid, run.uid, 0, b"on")
    with pytest.raises(ContentCorrupt):
        [piece async for piece in world.tasks.blobs.read(signed, state, 0, state.size)]


async def sign(world: World, path: str):
    row = await world.registry()
    container = f"container-{row.uid}"
    query = await world.tasks.blobs._signer.sign(f"/{container}/{path}", "r")  # type: ignore[reportPrivateUsage]
    parts = dict(pair.split("=", 1) for pair in query.replace("%3A", ":").split("&"))
    return await world.tasks.blobs.check(container, path, parts)


async def test_sources_go_a_day_after_their_last_use_and_never_under_a_run(world: World) -> None:
    unused, used, waiting = [await world.upload() for _ in range(3)]
    await world.hello()
    await world.schedule(sourceLocation=used)
    order = await world.claim()
    await world.schedule(sourceLocation=waiting)
    retention = world.tasks.retention
    world.pass_time(23 * 3600)
    assert await retention.sweep() == 0
    await world.finish(order)
    world.pass_time(2 * 3600)
    assert await retention.sweep() == 1
    assert await world.run_jobs() == 1
    row = await world.registry()
    stored = world.storage.sources
    assert await stored.stat(row.uid, unused) is None
    assert await stored.stat(row.uid, used) is not None
    world.pass_time(23 * 3600)
    assert await retention.sweep() == 1
    await world.run_jobs()
    assert await stored.stat(row.uid, used) is None
    assert await stored.stat(row.uid, waiting) is not None


async def test_runs_and_logs_go_after_thirty_days_unless_they_are_kept(world: World) -> None:
    await world.hello()
    kept, gone = await world.schedule(), await world.schedule()
    for _ in range(2):
        order = await world.claim()
        await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"x\r\n")
        await world.finish(order)
    unfinished = await world.schedule()
    await world.tasks.runs.set_archive(await world.facts(), kept.run_id, True, kept.system_data.created_by)
    world.pass_time(30 * 24 * 3600 + 1)
    assert await world.tasks.retention.sweep() == 1
    assert await world.run_jobs() == 1
    assert (await world.get(kept)).is_archive_enabled
    assert (await world.get(unfinished)).status == "Queued"
    with pytest.raises(ResourceUnknown):
        await world.get(gone)
    assert await world.storage.logs.size(gone.registry_uid, gone.uid) is None
    assert await world.log_of(kept) == b"x\r\n"
    assert (await world.kinds())[-2:] == ["run.updated", "run.removed"]
    assert (await world.schedule()).run_id[2:] == "4"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (5, "5s"), (62, "1m2s"), (3600, "1h0m0s"), (28800.9, "8h0m0s"), (3661, "1h1m1s")]
)
def test_durations_are_written_as_the_engine_does(seconds: float, text: str) -> None:
    assert render_duration(round(seconds * 1_000_000)) == text
