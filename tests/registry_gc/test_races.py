"""Pushes, mounts and gc at the same time: what is acknowledged stays whole (promises R1, R2, R5)."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from msgspec import json
from sqlalchemy import Connection, text

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, ManifestBlobUnknown, ManifestUnknown, RepositoryUnknown
from darsena.core.names import RepositoryName, TagName
from darsena.db import Tx
from darsena.registry.events import BlobRemoved
from darsena.registry.store import blobs, garbage

from .world import CONFIG, REGISTRY, UID, World, chunks

LAYERS = [b"layer %d" % number for number in range(6)]
REPOSITORIES = ["one", "two", "three"]
_CHURNS_AT_MOST = 20


async def churn(world: World, seed: int, acknowledged: dict[tuple[str, str], Digest]) -> None:
    """Push, mount, delete, push again: always the same few blobs, so that all of it collides."""
    choose = random.Random(seed)
    for number in range(12):
        repository, tag = choose.choice(REPOSITORIES), f"t{seed}"
        layers = tuple(choose.sample(LAYERS, 2))
        other = choose.choice(REPOSITORIES)
        await world.blob(repository, b"for gc, of %d: %d" % (seed, number))
        await world.service.uploading.mount(REGISTRY, RepositoryName(repository), Digest.of(layers[0]), [other])
        try:
            digest = await world.image(repository, tag, *layers)
        except ManifestBlobUnknown:
            continue  # without a grace gc may take what a push has just sent: it is told, and starts anew
        acknowledged[repository, tag] = digest
        if choose.random() < 0.6:
            for key in [key for key, found in acknowledged.items() if key[0] == repository and found == digest]:
                del acknowledged[key]
            try:
                await world.delete(repository, digest)
            except ManifestUnknown:
                continue  # another one was faster


async def collect_without_grace(world: World, done: asyncio.Event) -> int:
    runs = 0
    while not done.is_set():
        world.clock.advance(1)  # little: what lies there half-written for long is taken, too
        await world.run_gc(grace_s=0)
        runs += 1
    return runs


async def test_pushes_against_gc(world: World) -> None:
    """gc without any grace, all the time: it removes what it can, and nothing that is needed."""
    done = asyncio.Event()
    collecting = asyncio.ensure_future(collect_without_grace(world, done))
    acknowledged: list[dict[tuple[str, str], Digest]] = [{} for _ in range(4)]
    for _ in range(_CHURNS_AT_MOST):
        await asyncio.gather(*(churn(world, seed, acknowledged[seed]) for seed in range(4)))
        if "blob.removed" in world.kinds():
            break
    done.set()
    assert await collecting > 2
    assert "blob.removed" in world.kinds()
    assert [finding for finding in await world.findings() if finding.severity != "garbage"] == []
    for repository in REPOSITORIES:
        for tag in range(4):
            await whatever_is_tagged_is_whole(world, repository, f"t{tag}")
    world.clock.advance(86_400)
    await world.run_gc(grace_s=0)
    assert await world.findings() == []


async def whatever_is_tagged_is_whole(world: World, repository: str, tag: str) -> None:
    try:
        served = await world.service.manifests.get(REGISTRY, RepositoryName(repository), TagName(tag))
    except (ManifestUnknown, RepositoryUnknown):
        return
    document = json.decode(served.content)
    for descriptor in (document["config"], *document["layers"]):
        digest = Digest.parse(descriptor["digest"])
        await world.size(repository, digest)
        assert Digest.of(await world.read(digest)) == digest


async def test_a_push_keeps_the_bytes_that_a_removal_wants(world: World) -> None:
    """The row is gone, its bytes are next, and the same blob comes again in between: its bytes stay."""
    digest = await world.blob("shop/web", b"layer")
    world.clock.advance(60)
    now_us = world.clock.now_us()
    world.db.transact_sync(_mark_and_sweep, digest, now_us)
    assert world.db.read_sync(garbage.list_present, UID, [digest]) == set()

    async def choose(free: object) -> set[Digest]:
        """Asked while the place is taken: the push waits until the old bytes are gone."""
        pushing.append(asyncio.ensure_future(world.blob("shop/web", b"layer")))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not pushing[0].done()
        return {digest}

    pushing: list[asyncio.Future[Digest]] = []
    removed = await world.storage.blobs.remove(UID, [digest], now_us, choose)
    assert [found.digest for found in removed] == [digest]
    assert await pushing[0] == digest
    assert await world.read(digest) == b"layer"
    assert await world.findings() == []


async def test_a_removal_passes_over_what_a_push_holds(world: World) -> None:
    digest = await world.blob("shop/web", b"layer")
    world.clock.advance(60)

    async def everything(free: object) -> set[Digest]:
        return {digest}

    async with world.storage.blobs.hold(UID, digest):
        assert await world.storage.blobs.remove(UID, [digest], world.clock.now_us(), everything) == []
    assert len(await world.storage.blobs.remove(UID, [digest], world.clock.now_us(), everything)) == 1


async def test_a_push_whose_client_has_gone_holds_on_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while its row is being written: gc is kept off until it is."""
    started, release = asyncio.Event(), asyncio.Event()
    transact = world.db.transact

    async def slow(fn: object, *args: object) -> object:
        if "_add_and_link" in getattr(fn, "__name__", ""):
            started.set()
            await release.wait()
        return await transact(fn, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(world.db, "transact", slow)
    pushing = asyncio.ensure_future(world.blob("shop/web", b"layer"))
    await started.wait()
    pushing.cancel()
    await asyncio.sleep(0)
    digest = Digest.of(b"layer")
    world.clock.advance(60)

    async def everything(free: object) -> set[Digest]:
        return {digest}

    assert await world.storage.blobs.remove(UID, [digest], world.clock.now_us(), everything) == []
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await pushing
    assert await world.size("shop/web", digest) == 5
    assert await world.read(digest) == b"layer"


async def test_a_mount_uses_no_row_that_goes(world: World) -> None:
    """gc's transaction between a mount's look and its link: the mount finds nothing, and the client uploads."""
    digest = await world.blob("shop/web", b"layer")
    await world.blob("shop/web", CONFIG)
    world.clock.advance(60)
    now_us = world.clock.now_us()
    world.db.transact_sync(_mark_and_sweep, digest, now_us)
    assert not await world.service.uploading.mount(REGISTRY, RepositoryName("new"), digest, ["shop/web"])
    with pytest.raises(BlobUnknown):
        await world.size("shop/web", digest)


def wait_for_a_lock_that_waits(watching: Connection) -> None:
    while not watching.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).all():
        time.sleep(0.01)


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_the_grace_begins_under_the_lock(world: World) -> None:
    """gc waits for somebody who asks for the blob: whatever that takes is not taken from the grace."""
    digest = await world.blob("shop/web", b"layer")
    world.clock.advance(60)
    with world.db.engine.begin() as asking, world.db.engine.connect() as watching:
        assert blobs.keep(Tx(asking, world.clock, actor="", request_id=""), UID, digest)
        marking = asyncio.ensure_future(world.db.transact(garbage.mark, UID, [digest], world.clock.now_us()))
        await asyncio.to_thread(wait_for_a_lock_that_waits, watching)
        world.clock.advance(600)
        asking.commit()
    assert await marking == 1
    begun_us = world.clock.now_us()
    assert world.db.read_sync(garbage.list_marked, UID, b"", begun_us - 1, 10) == []
    assert world.db.read_sync(garbage.list_marked, UID, b"", begun_us, 10) == [digest]


async def test_a_push_waits_less_than_a_second(world: World) -> None:
    for number in range(600):
        await world.blob("shop/web", b"%d" % number)
    world.clock.advance(60)
    await world.gc.start(grace_s=0)
    collecting = asyncio.ensure_future(world.gc.run_due())
    longest = 0.0
    number = 0
    while not collecting.done():
        began = time.monotonic()
        await world.blob("busy", b"busy %d" % number)
        longest = max(longest, time.monotonic() - began)
        number += 1
    assert await collecting
    assert longest < 1.0
    assert world.kinds().count("blob.removed") >= 600


async def test_an_upload_is_stored_while_gc_lists(world: World) -> None:
    """Bytes between their rename and their row are no orphans."""
    upload = await world.service.uploading.begin(REGISTRY, RepositoryName("shop/web"), "user:1")
    await world.storage.uploads.begin(UID, upload)
    digest = Digest.of(b"layer")
    world.clock.advance(60)
    async with world.storage.blobs.hold(UID, digest):
        await world.storage.uploads.append(UID, upload, 0, chunks(b"layer"))
        await world.storage.uploads.commit(UID, upload, digest)
        await world.run_gc(grace_s=0)
        assert await world.stored() == {digest}


def _mark_and_sweep(tx: object, digest: Digest, now_us: int) -> None:
    garbage.mark(tx, UID, [digest], now_us)  # type: ignore[arg-type]
    swept = garbage.sweep(tx, UID, [digest], marked_before_us=now_us, before_us=now_us)  # type: ignore[arg-type]
    assert [found for found, _ in swept.removed] == [digest]
    tx.emit(REGISTRY.stream, BlobRemoved(digest=str(digest), size=5))  # type: ignore[attr-defined]
