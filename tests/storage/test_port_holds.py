"""BlobStore.hold, remove, quarantine and scan, of every store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from darsena.core.digest import Digest
from darsena.storage import Storage

from .conftest import OTHER, REGISTRY
from .feeding import chunks

ALWAYS = 1 << 60


async def put(storage: Storage, content: bytes, registry: str = REGISTRY) -> Digest:
    digest = Digest.of(content)
    await storage.uploads.begin(registry, "upload")
    await storage.uploads.append(registry, "upload", 0, chunks(content))
    await storage.uploads.commit(registry, "upload", digest)
    return digest


async def everything(free: Sequence[Digest]) -> set[Digest]:
    return set(free)


async def nothing(free: Sequence[Digest]) -> set[Digest]:
    return set()


async def test_remove_what_is_chosen(storage: Storage) -> None:
    first, second = await put(storage, b"first"), await put(storage, b"second")
    other = await put(storage, b"first", OTHER)

    async def choose(free: Sequence[Digest]) -> set[Digest]:
        return set(free) - {second}

    absent = Digest.of(b"absent")
    removed = await storage.blobs.remove(REGISTRY, [first, second, absent], ALWAYS, choose)
    assert [found.digest for found in removed] == [first]
    assert removed[0].stored_bytes > 0
    assert await storage.blobs.stat(REGISTRY, first) is None
    assert await storage.blobs.stat(REGISTRY, second) == 6
    assert await storage.blobs.stat(OTHER, other) == 5
    assert await storage.blobs.remove(REGISTRY, [first, second], ALWAYS, nothing) == []
    assert await storage.blobs.remove(REGISTRY, [], ALWAYS, everything) == []


async def test_young_bytes_stay(storage: Storage) -> None:
    digest = await put(storage, b"young")
    found = [found async for found in storage.blobs.scan(REGISTRY)]
    assert [(one.digest, one.written_us > 0) for one in found] == [(digest, True)]
    assert await storage.blobs.remove(REGISTRY, [digest], found[0].written_us, everything) == []
    assert len(await storage.blobs.remove(REGISTRY, [digest], found[0].written_us + 1, everything)) == 1


async def test_a_holder_keeps_the_remover_off(storage: Storage) -> None:
    digest = await put(storage, b"held")
    async with storage.blobs.hold(REGISTRY, digest), storage.blobs.hold(REGISTRY, digest):
        assert await storage.blobs.remove(REGISTRY, [digest], ALWAYS, everything) == []
    assert len(await storage.blobs.remove(REGISTRY, [digest], ALWAYS, everything)) == 1


async def test_holding_what_is_not_there_yet(storage: Storage) -> None:
    digest = Digest.of(b"to come")
    async with storage.blobs.hold(REGISTRY, digest):
        await put(storage, b"to come")
        assert await storage.blobs.remove(REGISTRY, [digest], ALWAYS, everything) == []
    assert await storage.blobs.stat(REGISTRY, digest) == 7


async def test_a_holder_waits_for_the_remover(storage: Storage) -> None:
    digest = await put(storage, b"going")
    held = asyncio.Event()

    async def hold() -> None:
        async with storage.blobs.hold(REGISTRY, digest):
            held.set()

    holding: list[asyncio.Task[None]] = []

    async def choose(free: Sequence[Digest]) -> set[Digest]:
        holding.append(asyncio.create_task(hold()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not held.is_set()
        return set(free)

    assert len(await storage.blobs.remove(REGISTRY, [digest], ALWAYS, choose)) == 1
    await asyncio.wait_for(holding[0], 5)


async def test_a_holder_that_is_cancelled_lets_go(storage: Storage) -> None:
    digest = await put(storage, b"held")
    started = asyncio.Event()

    async def hold() -> None:
        async with storage.blobs.hold(REGISTRY, digest):
            started.set()
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    await started.wait()
    holding.cancel()
    await asyncio.wait([holding])
    assert len(await storage.blobs.remove(REGISTRY, [digest], ALWAYS, everything)) == 1


async def test_quarantine(storage: Storage) -> None:
    digest = await put(storage, b"wrong")
    assert not await storage.blobs.quarantine(REGISTRY, digest, nothing)
    assert await storage.blobs.quarantine(REGISTRY, digest, everything)
    assert await storage.blobs.stat(REGISTRY, digest) is None
    assert [found async for found in storage.blobs.scan(REGISTRY)] == []
    assert await storage.measure_leftovers(REGISTRY, ALWAYS) == (0, 0)
