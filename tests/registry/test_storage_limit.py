"""The tier's storage limit is counted where blobs are added and removed, each blob once, and never passed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import QuotaExceeded
from darsena.core.names import RepositoryName
from darsena.db import Tx
from darsena.registry.deleting import drop_registry
from darsena.registry.events import RepositoryDeleted
from darsena.registry.gc import GarbageCollector
from darsena.registry.model import Registry
from darsena.registry.store import totals

from .conftest import APP, ME, REGISTRY, UID, Rooms, chunks

LIMITED = replace(REGISTRY, storage_limit_bytes=100)


def size(rooms: Rooms) -> tuple[int, int]:
    """What is noted, and what there is."""
    return rooms.db.read_sync(totals.find, UID), rooms.db.read_sync(totals.count_anew, UID)


async def push(rooms: Rooms, content: bytes, repository: RepositoryName = APP) -> None:
    await rooms.service.uploading.put(LIMITED, repository, ME, chunks(content), Digest.of(content))


async def test_up_to_the_limit_and_not_a_byte_beyond(rooms: Rooms) -> None:
    await push(rooms, bytes(60))
    await push(rooms, bytes(60), RepositoryName("other"))  # counted once
    with pytest.raises(QuotaExceeded, match="limit of 100"):
        await push(rooms, b"x" * 41)
    assert size(rooms) == (60, 60)
    await push(rooms, b"x" * 40)
    assert size(rooms) == (100, 100)
    await push(rooms, bytes(60), RepositoryName("third"))  # no byte more
    with pytest.raises(QuotaExceeded):
        await push(rooms, b"y")
    assert size(rooms) == (100, 100)


async def test_of_many_at_once_only_as_many_as_fit(rooms: Rooms) -> None:
    pushes = [push(rooms, b"%2d" % number * 5, RepositoryName(f"r{number}")) for number in range(20)]
    results = await asyncio.gather(*pushes, return_exceptions=True)
    assert sum(result is None for result in results) == 10
    assert all(result is None or isinstance(result, QuotaExceeded) for result in results)
    assert size(rooms) == (100, 100)


async def test_it_goes_with_the_registry(rooms: Rooms) -> None:
    def delete(tx: Tx) -> None:
        drop_registry(tx, UID)
        tx.emit(REGISTRY.stream, RepositoryDeleted(repository=APP, manifests=0, tags=0))  # as its resource's event

    await push(rooms, bytes(60))
    await rooms.db.transact(delete)
    assert size(rooms) == (0, 0)


async def test_gc_corrects_a_wrong_count(rooms: Rooms) -> None:
    async def list_registries() -> list[Registry]:
        return [REGISTRY]

    await push(rooms, bytes(60))
    rooms.db.transact_sync(totals.change, UID, 7)
    assert size(rooms) == (67, 60)
    gc = GarbageCollector(rooms.db, rooms.storage, list_registries)
    await gc.start()
    assert await gc.run_due()
    assert size(rooms) == (60, 60)
