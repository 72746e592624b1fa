"""Contract of UploadStore, held by every implementation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import DigestMismatch, RangeNotSatisfiable, UploadUnknown
from darsena.storage import Storage

from .conftest import REGISTRY
from .feeding import SEGMENT, Cut, chunks, collect, content, cut_off, push


async def test_goes_on_at_its_offset(storage: Storage) -> None:
    data = content(2 * SEGMENT + 10)
    await storage.uploads.begin(REGISTRY, "u")
    assert await storage.uploads.offset(REGISTRY, "u") == 0
    borders = [0, 5, SEGMENT + 5, SEGMENT + 6, len(data)]
    for start, stop in itertools.pairwise(borders):
        assert await storage.uploads.append(REGISTRY, "u", start, chunks(data[start:stop])) == stop
        assert await storage.uploads.offset(REGISTRY, "u") == stop
    digest = Digest.of(data)
    assert await storage.uploads.commit(REGISTRY, "u", digest) == len(data)
    assert await collect(storage.blobs.read(REGISTRY, digest)) == data


@pytest.mark.parametrize("step", [1, 1000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 5 * SEGMENT])
async def test_any_chunk_size(storage: Storage, step: int) -> None:
    data = content(step if step == 1 else 2 * SEGMENT + 10)
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(data, step))
    await storage.uploads.commit(REGISTRY, "u", Digest.of(data))
    assert await storage.blobs.read_whole(REGISTRY, Digest.of(data), len(data)) == data


async def test_empty_chunks_and_appends(storage: Storage) -> None:
    async def body() -> AsyncIterator[bytes]:
        for chunk in (b"", b"ab", b"", b"c"):
            yield chunk

    await storage.uploads.begin(REGISTRY, "u")
    assert await storage.uploads.append(REGISTRY, "u", 0, chunks(b"")) == 0
    assert await storage.uploads.append(REGISTRY, "u", 0, body()) == 3
    assert await storage.uploads.append(REGISTRY, "u", 3, chunks(b"")) == 3
    assert await storage.uploads.commit(REGISTRY, "u", Digest.of(b"abc")) == 3


@pytest.mark.parametrize("offset", [0, 4, 6, 1 << 40])
async def test_stale_offset(storage: Storage, offset: int) -> None:
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(b"12345"))
    with pytest.raises(RangeNotSatisfiable) as error:
        await storage.uploads.append(REGISTRY, "u", offset, chunks(b"x"))
    assert error.value.size == 5
    assert await storage.uploads.append(REGISTRY, "u", 5, chunks(b"6")) == 6


async def test_unknown(storage: Storage) -> None:
    with pytest.raises(UploadUnknown):
        await storage.uploads.offset(REGISTRY, "nope")
    with pytest.raises(UploadUnknown):
        await storage.uploads.append(REGISTRY, "nope", 0, chunks(b"x"))
    with pytest.raises(UploadUnknown):
        await storage.uploads.commit(REGISTRY, "nope", Digest.of(b"x"))
    await storage.uploads.abort(REGISTRY, "nope")


async def test_begin_twice_keeps_what_is_written(storage: Storage) -> None:
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(b"abc"))
    await storage.uploads.begin(REGISTRY, "u")
    assert await storage.uploads.offset(REGISTRY, "u") == 3


async def test_mismatch_leaves_the_upload(storage: Storage) -> None:
    data = content(SEGMENT + 1)
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(data))
    for wrong in (Digest.of(b"other"), Digest.of(b"other", "sha512")):
        with pytest.raises(DigestMismatch):
            await storage.uploads.commit(REGISTRY, "u", wrong)
        assert await storage.blobs.stat(REGISTRY, wrong) is None
    assert await storage.uploads.commit(REGISTRY, "u", Digest.of(data)) == len(data)


async def test_commit_twice(storage: Storage) -> None:
    digest = await push(storage, REGISTRY, b"abc")
    assert await storage.uploads.commit(REGISTRY, "u", digest) == 3
    with pytest.raises(UploadUnknown):
        await storage.uploads.commit(REGISTRY, "u", Digest.of(b"other"))
    with pytest.raises(UploadUnknown):
        await storage.uploads.offset(REGISTRY, "u")


async def test_same_blob_by_two_uploads(storage: Storage) -> None:
    data = content(SEGMENT + 3)
    for upload in ("one", "two"):
        await storage.uploads.begin(REGISTRY, upload)
        await storage.uploads.append(REGISTRY, upload, 0, chunks(data))
    digest = Digest.of(data)
    sizes = await asyncio.gather(*(storage.uploads.commit(REGISTRY, upload, digest) for upload in ("one", "two")))
    assert sizes == [len(data)] * 2
    assert await storage.blobs.read_whole(REGISTRY, digest, len(data)) == data


async def test_unsynced_append_is_committed_whole(storage: Storage) -> None:
    data = content(SEGMENT + 3)
    await storage.uploads.begin(REGISTRY, "u")
    assert await storage.uploads.append(REGISTRY, "u", 0, chunks(data), sync=False) == len(data)
    assert await storage.uploads.offset(REGISTRY, "u") == len(data)
    assert await storage.uploads.commit(REGISTRY, "u", Digest.of(data)) == len(data)


async def test_abort(storage: Storage) -> None:
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(b"abc"))
    await storage.uploads.abort(REGISTRY, "u")
    with pytest.raises(UploadUnknown):
        await storage.uploads.append(REGISTRY, "u", 3, chunks(b"d"))


@pytest.mark.parametrize("received", [0, 100, SEGMENT, 2 * SEGMENT + 100])
async def test_what_came_before_a_cut_stays(storage: Storage, received: int) -> None:
    data = content(3 * SEGMENT)
    await storage.uploads.begin(REGISTRY, "u")
    with pytest.raises(Cut):
        await storage.uploads.append(REGISTRY, "u", 0, cut_off(data[:received]))
    offset = await storage.uploads.offset(REGISTRY, "u")
    assert offset == received
    await storage.uploads.append(REGISTRY, "u", offset, chunks(data[offset:]))
    assert await storage.uploads.commit(REGISTRY, "u", Digest.of(data)) == len(data)


async def test_what_came_before_a_cancellation_stays(storage: Storage) -> None:
    data = content(2 * SEGMENT + 100)
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield data[: SEGMENT + 50]
        waiting.set()
        await asyncio.Event().wait()

    await storage.uploads.begin(REGISTRY, "u")
    task = asyncio.create_task(storage.uploads.append(REGISTRY, "u", 0, stalled()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await storage.uploads.offset(REGISTRY, "u") == SEGMENT + 50
    await storage.uploads.append(REGISTRY, "u", SEGMENT + 50, chunks(data[SEGMENT + 50 :]))
    assert await storage.uploads.commit(REGISTRY, "u", Digest.of(data)) == len(data)


async def test_offset_does_not_wait_and_a_second_writer_is_stale(storage: Storage) -> None:
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"abc"
        waiting.set()
        await go_on.wait()

    await storage.uploads.begin(REGISTRY, "u")
    first = asyncio.create_task(storage.uploads.append(REGISTRY, "u", 0, slow()))
    await waiting.wait()
    assert await storage.uploads.offset(REGISTRY, "u") == 0
    second = asyncio.create_task(storage.uploads.append(REGISTRY, "u", 0, chunks(b"xyz")))
    await asyncio.sleep(0)
    go_on.set()
    assert await first == 3
    with pytest.raises(RangeNotSatisfiable):
        await second
    assert await storage.uploads.commit(REGISTRY, "u", Digest.of(b"abc")) == 3


async def test_list(storage: Storage) -> None:
    for upload in ("a", "b", "c"):
        await storage.uploads.begin(REGISTRY, upload)
    await storage.uploads.append(REGISTRY, "b", 0, chunks(content(1000)))
    await storage.uploads.abort(REGISTRY, "c")
    found = {upload.upload: upload async for upload in storage.uploads.list(REGISTRY)}
    assert set(found) == {"a", "b"}
    assert found["b"].stored_bytes >= 1000
    assert found["b"].written_us > 0


@pytest.mark.parametrize("upload", ["../escape", "a/b", ".", "", "x" * 300, "Ünïcode", ".tmp-x", "NUL\x00"])
async def test_an_upload_id_is_never_a_path(storage: Storage, upload: str) -> None:
    digest = await push(storage, REGISTRY, b"abc", upload=upload)
    assert await storage.blobs.stat(REGISTRY, digest) == 3
    with pytest.raises(UploadUnknown):
        await storage.uploads.offset(REGISTRY, upload)


@pytest.mark.parametrize("size", [0, 1, 300_000, SEGMENT])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_put_in_one_go(storage: Storage, size: int, algorithm: str) -> None:
    data = content(size)
    digest = Digest.of(data, algorithm)  # type: ignore[arg-type]
    for _ in range(2):
        assert await storage.uploads.put(REGISTRY, data, digest) == size
    assert await storage.blobs.read_whole(REGISTRY, digest, SEGMENT) == data
    assert [found async for found in storage.uploads.list(REGISTRY)] == []


async def test_put_of_something_else_leaves_nothing(storage: Storage) -> None:
    wrong = Digest.of(b"other")
    with pytest.raises(DigestMismatch):
        await storage.uploads.put(REGISTRY, b"some", wrong)
    assert await storage.blobs.stat(REGISTRY, wrong) is None
    assert await storage.sweep(REGISTRY, 1 << 62) == 0
