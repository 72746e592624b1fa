"""Plans, and runs that are started, watched, paused, resumed and taken over."""

from __future__ import annotations

import asyncio

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import Conflict, StorageFull
from darsena.core.names import RepositoryName
from darsena.registry.gc import GarbageCollector
from darsena.registry.model import Registry
from darsena.registry.store import gc_runs

from .world import CONFIG, GRACE_S, REGISTRY, World


async def test_the_plan_is_what_goes(world: World) -> None:
    digest = await world.image("shop/web", "v1", b"first", b"common")
    await world.image("shop/web", "v2", b"second", b"common")
    await world.delete("shop/web", digest)
    plan = await world.gc.plan()
    assert (plan.blobs.number, plan.waiting.number, plan.waiting.size) == (0, 1, 5)
    world.clock.advance(GRACE_S + 10)
    plan = await world.gc.plan()
    assert plan.digests == [(str(Digest.of(b"first")), 5)]
    assert (plan.blobs.number, plan.blobs.size, plan.links, plan.waiting.number) == (1, 5, 1, 0)
    before = world.kinds()
    assert await world.gc.plan() == plan
    assert world.kinds() == before
    await world.collect()
    assert Digest.of(b"first") not in await world.stored()
    assert (await world.gc.plan()).blobs.number == 0


async def test_without_grace_all_goes_in_one_run(world: World) -> None:
    await world.blob("shop/web", b"layer")
    assert (await world.gc.plan(grace_s=0)).blobs.number == 1
    world.clock.advance(60)
    await world.run_gc(grace_s=0)
    assert await world.stored() == set()


async def test_many_blobs_in_batches(world: World) -> None:
    for number in range(450):
        await world.blob("shop/web", b"%d" % number)
    await world.image("shop/web", "v1", b"kept")
    world.clock.advance(60)
    await world.run_gc(grace_s=0)
    assert await world.stored() == {Digest.of(b"kept"), Digest.of(CONFIG)}
    assert world.kinds().count("blob.removed") == 450
    assert await world.findings() == []


async def test_pause_and_resume(world: World) -> None:
    with pytest.raises(Conflict, match="no run"):
        await world.gc.pause()
    await world.blob("shop/web", b"layer")
    world.clock.advance(60)
    run = await world.gc.start(grace_s=0)
    assert (await world.gc.start(grace_s=0)).id == run.id
    assert (await world.gc.pause()).status == "Paused"
    assert not await world.gc.run_due(of_itself=True)
    with pytest.raises(Conflict, match="paused"):
        await world.gc.start()
    assert len(await world.stored()) == 1
    assert (await world.gc.resume()).status == "Queued"
    with pytest.raises(Conflict, match="not paused"):
        await world.gc.resume()
    assert await world.gc.run_due()
    found = await world.gc.get(run.id)
    assert found is not None
    assert (found.status, found.progress.blobs_removed) == ("Succeeded", 1)


async def test_pause_in_the_middle(world: World) -> None:
    """A running run notices after a batch, keeps its counts, and goes on where it stood."""
    for number in range(10):
        await world.blob("shop/web", b"%d" % number)
    world.clock.advance(60)
    ticks = iter(range(1_000_000))
    pauses = [world.gc.pause]

    async def list_registries() -> list[Registry]:
        while pauses:
            await pauses.pop()()
        return [REGISTRY]

    gc = GarbageCollector(world.db, world.storage, list_registries, monotonic=lambda: float(next(ticks)) * 10)
    run = await gc.start(grace_s=0)
    assert await gc.run_due()
    paused = await gc.get(run.id)
    assert paused is not None
    assert (paused.status, paused.progress.blobs_marked, paused.progress.blobs_removed) == ("Paused", 10, 0)
    await gc.resume()
    assert await gc.run_due()
    assert await world.stored() == set()
    ended = await gc.get(run.id)
    assert ended is not None
    assert (ended.status, ended.progress.blobs_marked, ended.progress.blobs_removed) == ("Succeeded", 10, 10)


async def test_what_a_dead_process_began_is_taken_over(world: World) -> None:
    await world.blob("shop/web", b"layer")
    world.clock.advance(60)
    run = await world.gc.start(grace_s=0)
    world.damage("UPDATE gc_run SET status = 'Running', owner = 'dead', lease_until = :at WHERE id = :id",
                 at=world.clock.now_us() + 60_000_000, id=run.id)  # fmt: skip
    if not world.db.is_sqlite:  # several processes: it may be alive until its lease is over
        assert not await world.gc.run_due()
        world.clock.advance(61)
    assert await world.gc.run_due()
    assert await world.stored() == set()


async def test_a_run_whose_end_could_not_be_written_goes_on_as_soon_as_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is full to the last byte: nobody has to wait for a lease."""
    await world.blob("shop/web", b"layer")
    world.clock.advance(60)
    run = await world.gc.start(grace_s=0)

    def fail(*_: object) -> None:
        raise StorageFull("the database's disk is full; nothing was changed")

    with monkeypatch.context() as failing:
        failing.setattr(gc_runs, "end", fail)
        for _ in range(2):
            with pytest.raises(StorageFull):
                await world.gc.run_due()
    assert await world.gc.run_due()
    found = await world.gc.get(run.id)
    assert found is not None
    assert found.status == "Succeeded"


async def test_a_stop_gives_the_run_back(world: World) -> None:
    await world.blob("shop/web", b"layer")
    run = await world.gc.start(grace_s=0)
    stop = asyncio.Event()
    stop.set()
    await world.gc.run_due(stop)
    found = await world.gc.get(run.id)
    assert found is not None
    assert found.status == "Queued"


async def test_it_runs_of_itself(world: World) -> None:
    """Once a day, and again when marks that it left have waited."""
    assert await world.gc.run_due(of_itself=True)
    assert not await world.gc.run_due(of_itself=True)
    await world.blob("shop/web", b"layer")
    world.clock.advance(86_400)
    assert await world.gc.run_due(of_itself=True)
    assert not await world.gc.run_due(of_itself=True)
    world.clock.advance(GRACE_S + 1)
    assert await world.gc.run_due(of_itself=True)
    assert await world.stored() == set()
    world.clock.advance(GRACE_S + 1)
    assert not await world.gc.run_due(of_itself=True)


async def test_not_of_itself_when_it_may_not(world: World) -> None:
    gc = make_gc(world, interval_s=0)
    assert not await gc.run_due(of_itself=True)


async def test_a_failure_is_told(world: World) -> None:
    async def fail() -> list[Registry]:
        raise Conflict("no registries today")

    gc = GarbageCollector(world.db, world.storage, fail)
    run = await gc.start()
    assert await gc.run_due()
    found = await gc.get(run.id)
    assert found is not None
    assert (found.status, found.error) == ("Failed", "no registries today")


async def test_old_runs_are_forgotten(world: World) -> None:
    for _ in range(60):
        await world.run_gc()
    assert await world.gc.get(1) is None
    assert await world.gc.get(60) is not None


def make_gc(world: World, **changes: object) -> GarbageCollector:
    async def list_registries() -> list[Registry]:
        return [REGISTRY]

    return GarbageCollector(world.db, world.storage, list_registries, grace_s=GRACE_S, **changes)  # type: ignore[arg-type]


async def test_sizes_add_up(world: World) -> None:
    await world.image("a", "v1", b"only in a", b"in both")
    await world.image("b/c", "v1", b"only in b", b"in both")
    await world.blob("b/c", b"unused")
    sizes = await world.maintenance.list_sizes(REGISTRY, last="", limit=10)
    a, b = sizes.items
    shared = len(CONFIG) + len(b"in both")
    assert (a.name, a.own, a.shared, a.freed, a.blobs) == ("a", shared + 9, shared, 9, 3)
    assert (b.name, b.own, b.shared, b.freed, b.blobs) == ("b/c", shared + 9 + 6, shared, 15, 4)
    total = await world.maintenance.measure_registry(REGISTRY)
    assert (total.single, total.shared, total.unlinked) == (a.freed + b.freed, shared, 0)
    assert total.stored == total.single + total.shared + total.unlinked
    assert await world.maintenance.measure_repository(REGISTRY, RepositoryName("b/c")) == b

    await world.service.deleting.delete_repository(REGISTRY, RepositoryName("a"))
    assert (await world.maintenance.measure_registry(REGISTRY)).unlinked == a.freed
    await world.collect()
    stored = await world.maintenance.measure_registry(REGISTRY)
    assert stored.stored == total.stored - a.freed - len(b"unused")
    page = await world.maintenance.list_sizes(REGISTRY, last="", limit=1)
    assert (len(page.items), page.last) == (1, None)
