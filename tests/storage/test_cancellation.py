"""A caller may go away at any moment: no descriptor, lock or file is left, and the next caller is served."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import UploadUnknown
from darsena.storage import LocalStorage

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content, push

DATA = content(2 * SEGMENT + 77)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def cancelled_after(step: Callable[[], Awaitable[object]], turns: int) -> bool:
    """Cancel `step` after so many turns of the event loop; False when it had ended by then."""

    async def run() -> None:
        await step()

    task = asyncio.create_task(run())
    for _ in range(turns):
        await asyncio.sleep(0)
    if not task.cancel():
        await task
        return False
    with pytest.raises(asyncio.CancelledError):
        await task
    return True


TURNS = [*range(12), 20, 50, 200, 1000]


@pytest.mark.parametrize("turns", TURNS)
async def test_append_and_commit(local: LocalStorage, turns: int) -> None:
    await push(local, REGISTRY, b"threads are there")
    before = open_descriptors()
    await local.uploads.begin(REGISTRY, "u")
    await cancelled_after(lambda: local.uploads.append(REGISTRY, "u", 0, chunks(DATA)), turns)
    offset = await local.uploads.offset(REGISTRY, "u")
    await local.uploads.append(REGISTRY, "u", offset, chunks(DATA[offset:]))
    digest = Digest.of(DATA)
    await cancelled_after(lambda: local.uploads.commit(REGISTRY, "u", digest), turns)
    assert await local.uploads.commit(REGISTRY, "u", digest) == len(DATA)
    with pytest.raises(UploadUnknown):
        await local.uploads.offset(REGISTRY, "u")
    assert await collect(local.blobs.read(REGISTRY, digest)) == DATA
    assert open_descriptors() == before


@pytest.mark.parametrize("turns", TURNS)
async def test_sources_and_logs(local: LocalStorage, turns: int) -> None:
    await push(local, REGISTRY, b"threads are there")
    before = open_descriptors()
    await cancelled_after(lambda: local.sources.put(REGISTRY, "s", chunks(DATA)), turns)
    await local.sources.put(REGISTRY, "s", chunks(DATA))
    await cancelled_after(lambda: local.logs.append(REGISTRY, "run", 0, DATA), turns)
    assert await local.logs.append(REGISTRY, "run", 0, DATA) == len(DATA)
    assert await local.logs.read(REGISTRY, "run") == DATA
    assert await local.sweep(REGISTRY, 1 << 60) == 0
    assert open_descriptors() == before


@pytest.mark.parametrize("turns", TURNS)
async def test_reads(local: LocalStorage, turns: int) -> None:
    digest = await push(local, REGISTRY, DATA)
    before = open_descriptors()

    async def read() -> None:
        async for _ in local.blobs.read(REGISTRY, digest):
            await asyncio.sleep(0)

    await cancelled_after(read, turns)
    reading = local.blobs.read(REGISTRY, digest)
    await anext(reading)
    del reading  # never read to its end
    for _ in range(5):
        await asyncio.sleep(0)
    assert open_descriptors() == before
