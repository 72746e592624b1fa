"""Contract of BlobStore, held by every implementation."""

from __future__ import annotations

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, RangeNotSatisfiable, RequestTooLarge
from darsena.storage import Storage

from .conftest import OTHER, REGISTRY
from .feeding import SEGMENT, collect, content, push

SIZES = [0, 1, 65_536, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 3 * SEGMENT + 7]
ABSENT = Digest.of(b"never stored")


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_put_is_got(storage: Storage, size: int) -> None:
    data = content(size)
    digest = await push(storage, REGISTRY, data)
    assert await storage.blobs.stat(REGISTRY, digest) == size
    assert await collect(storage.blobs.read(REGISTRY, digest)) == data
    assert await storage.blobs.read_whole(REGISTRY, digest, size) == data


@pytest.mark.parametrize("size", [1, SEGMENT, 3 * SEGMENT + 7])
async def test_sha512(storage: Storage, size: int) -> None:
    digest = await push(storage, REGISTRY, content(size), algorithm="sha512")
    assert digest.algorithm == "sha512"
    assert await collect(storage.blobs.read(REGISTRY, digest)) == content(size)
    assert [found async for found, _ in storage.blobs.list(REGISTRY)] == [digest]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 1),
        (5, 5),
        (SEGMENT - 1, SEGMENT + 1),
        (SEGMENT, 2 * SEGMENT),
        (2 * SEGMENT + 5, None),
        (17, 2 * SEGMENT + 99),
        (2 * SEGMENT + 100, 2 * SEGMENT + 100),
        (1, 10 * SEGMENT),
    ],
)
async def test_ranges(storage: Storage, start: int, stop: int | None) -> None:
    data = content(2 * SEGMENT + 100)
    digest = await push(storage, REGISTRY, data)
    assert await collect(storage.blobs.read(REGISTRY, digest, start, stop)) == data[start:stop]


async def test_range_outside(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, content(100))
    with pytest.raises(RangeNotSatisfiable) as error:
        await collect(storage.blobs.read(REGISTRY, digest, 101))
    assert error.value.size == 100


async def test_pieces_are_small(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, content(3 * SEGMENT))
    assert max([len(piece) async for piece in storage.blobs.read(REGISTRY, digest)]) <= SEGMENT


async def test_read_small(storage: Storage) -> None:
    small = await push(storage, REGISTRY, content(65_536), upload="a")
    full = await push(storage, REGISTRY, content(SEGMENT), upload="b")
    large = await push(storage, REGISTRY, content(SEGMENT + 1), upload="c")
    empty = await push(storage, REGISTRY, b"", upload="d")
    assert storage.blobs.read_small(REGISTRY, small, 65_536) == content(65_536)
    assert storage.blobs.read_small(REGISTRY, full, SEGMENT) == content(SEGMENT)
    assert storage.blobs.read_small(REGISTRY, large, SEGMENT + 1) is None
    assert storage.blobs.read_small(REGISTRY, large, 10) is None  # a hint that is wrong does no harm
    assert storage.blobs.read_small(REGISTRY, empty, 0) == b""
    assert storage.blobs.read_small(REGISTRY, ABSENT, 5) is None


async def test_read_whole_has_a_limit(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, content(100))
    with pytest.raises(RequestTooLarge):
        await storage.blobs.read_whole(REGISTRY, digest, 99)


async def test_absent(storage: Storage) -> None:
    assert await storage.blobs.stat(REGISTRY, ABSENT) is None
    with pytest.raises(BlobUnknown):
        await collect(storage.blobs.read(REGISTRY, ABSENT))
    with pytest.raises(BlobUnknown):
        await storage.blobs.read_whole(REGISTRY, ABSENT, 100)
    await storage.blobs.delete(REGISTRY, ABSENT)
    assert [found async for found in storage.blobs.list(REGISTRY)] == []


async def test_a_registry_sees_its_own_only(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, b"mine")
    assert await storage.blobs.stat(OTHER, digest) is None
    assert storage.blobs.read_small(OTHER, digest, 4) is None


async def test_delete_and_put_again(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, b"again")
    await storage.blobs.delete(REGISTRY, digest)
    assert await storage.blobs.stat(REGISTRY, digest) is None
    await push(storage, REGISTRY, b"again", upload="v")
    assert await storage.blobs.read_whole(REGISTRY, digest, 10) == b"again"


async def test_a_read_goes_on_when_the_blob_is_deleted(storage: Storage) -> None:
    data = content(3 * SEGMENT)
    digest = await push(storage, REGISTRY, data)
    reading = storage.blobs.read(REGISTRY, digest)
    first = await anext(reading)
    await storage.blobs.delete(REGISTRY, digest)
    assert first + await collect(reading) == data


async def test_list(storage: Storage) -> None:
    digests = {await push(storage, REGISTRY, content(n), upload=f"u{n}") for n in (1, 2, SEGMENT + 1)}
    found = {digest: stored async for digest, stored in storage.blobs.list(REGISTRY)}
    assert set(found) == digests
    assert found[Digest.of(content(SEGMENT + 1))] >= SEGMENT + 1


async def test_drop_takes_everything(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, b"gone")
    kept = await push(storage, OTHER, b"kept")
    await storage.uploads.begin(REGISTRY, "open")
    await storage.logs.append(REGISTRY, "log", 0, b"line")
    await storage.blobs.drop(REGISTRY)
    await storage.blobs.drop(REGISTRY)
    assert await storage.blobs.stat(REGISTRY, digest) is None
    assert [upload async for upload in storage.uploads.list(REGISTRY)] == []
    assert await storage.logs.size(REGISTRY, "log") is None
    assert await storage.blobs.stat(OTHER, kept) == 4
