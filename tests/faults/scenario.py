"""Every kind of write that the data plane and its store know, once and in a fixed order, no step left out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import darsena
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName, TagName
from oracles import LONG_S
from registry_gc.world import CONFIG, PRINCIPAL, REGISTRY, UID, World, document_of, index_of

SHOP, BAR = RepositoryName("shop/web"), RepositoryName("bar/web")
_SEGMENT = 1 << 20
_NAMED = re.compile(r'\bfailpoint\("([a-z_.]+)"\)')
_OF_RUNS = ("run.",)
"""Reached by runs: tests/tasks/test_crash_points.py."""


def list_points() -> list[str]:
    """All of the data plane, as the source names them."""
    source = Path(darsena.__file__).parent
    found = {name for path in source.rglob("*.py") for name in _NAMED.findall(path.read_text("utf-8"))}
    return sorted(name for name in found if not name.startswith(_OF_RUNS))


def content(size: int, seed: str) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)


LARGE, RAGGED = content(_SEGMENT + 700, "large"), content(2 * _SEGMENT + 5, "ragged")


async def feed(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 300_000):
        yield data[at : at + 300_000]


async def work(world: World) -> None:
    """May be run again on what a run that was cut off has left."""
    await push(world)
    await delete(world)
    await collect(world)
    await store_others(world)


async def push(world: World) -> None:
    uploading = world.service.uploading
    await world.blob(SHOP, LARGE)
    uid = await uploading.begin(REGISTRY, SHOP, PRINCIPAL)
    border = _SEGMENT // 2
    assert await uploading.append(REGISTRY, SHOP, uid, PRINCIPAL, feed(RAGGED[:border]), at=0) == border
    await uploading.finish(REGISTRY, SHOP, uid, PRINCIPAL, feed(RAGGED[border:]), Digest.of(RAGGED))
    cancelled = await uploading.begin(REGISTRY, SHOP, PRINCIPAL)
    await uploading.append(REGISTRY, SHOP, cancelled, PRINCIPAL, feed(b"abc"))
    await uploading.cancel(REGISTRY, SHOP, cancelled, PRINCIPAL)
    kept = await world.image(SHOP, "v1", LARGE)
    await world.image(SHOP, "v1", b"small", RAGGED)  # the tag moves
    assert await uploading.mount(REGISTRY, BAR, Digest.of(b"small"), [SHOP])
    assert await uploading.mount(REGISTRY, BAR, Digest.of(CONFIG), [SHOP])
    await world.manifest(BAR, document_of(b"small"), "v1")
    await world.manifest(SHOP, index_of(kept), "all")


async def delete(world: World) -> None:
    deleting = world.service.deleting
    await world.image(SHOP, "gone", b"gone")
    await deleting.delete_tag(REGISTRY, SHOP, TagName("gone"))
    await world.image(SHOP, "gone", b"gone")
    await deleting.delete_manifest(REGISTRY, SHOP, await world.image(SHOP, None, b"gone"))
    await deleting.delete_blob(REGISTRY, SHOP, Digest.of(b"gone"))
    await deleting.delete_repository(REGISTRY, BAR)


async def collect(world: World) -> None:
    """Unused blobs, orphans, leftovers; uploads that nobody goes on with, with their rows and without."""
    uploading = world.service.uploading
    for number in range(3):
        await world.blob(SHOP, b"unused %d" % number)
    for number in range(2):
        uid = await uploading.begin(REGISTRY, SHOP, PRINCIPAL)
        await uploading.append(REGISTRY, SHOP, uid, PRINCIPAL, feed(b"abandoned %d" % number))
        if number == 0:
            world.clock.advance(LONG_S)
            await uploading.expire()
    await world.storage.uploads.begin(UID, "0" * 32)
    world.storage.layout.blobs(UID).joinpath(".tmp-left").write_bytes(b"by a crash")
    for _ in range(2):
        world.clock.advance(LONG_S)
        await world.gc.start(None, 3600)
        await world.gc.run_due()


async def store_others(world: World) -> None:
    """What runs and build sources make of the store."""
    storage = world.storage
    await storage.sources.put(UID, "source", feed(LARGE))
    await storage.sources.delete(UID, "source")
    size = await storage.logs.size(UID, "run") or 0
    await storage.logs.append(UID, "run", size, b"a line\r\n")
    await storage.logs.delete(UID, "run")
    await storage.uploads.begin(UID, "deleted")
    await storage.uploads.append(UID, "deleted", 0, feed(b"deleted"), sync=False)
    await storage.uploads.commit(UID, "deleted", Digest.of(b"deleted"))
    await storage.blobs.delete(UID, Digest.of(b"deleted"))
