"""After a restart everything is derived from the files again: offsets, hashes, logs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import RangeNotSatisfiable, Unavailable, UploadUnknown
from darsena.storage import Keyring, LocalStorage
from darsena.storage.frames import END_BYTES, FRAME_OVERHEAD, HEADER_BYTES, STRIDE
from darsena.storage.growing import open_locked
from darsena.storage.layout import GROUND_MARK

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content, push

DATA = content(2 * SEGMENT + 500)


@pytest.fixture
async def again(data: Path, keyring: Keyring) -> AsyncIterator[LocalStorage]:
    """A second instance over the same folder, which has seen nothing."""
    storage = LocalStorage(data, keyring)
    yield storage
    await storage.close()


@pytest.mark.parametrize("first", [0, 100, SEGMENT, SEGMENT + 100, 2 * SEGMENT])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_upload_goes_on(local: LocalStorage, again: LocalStorage, first: int, algorithm: str) -> None:
    await local.uploads.begin(REGISTRY, "u")
    await local.uploads.append(REGISTRY, "u", 0, chunks(DATA[:first]))
    assert await again.uploads.offset(REGISTRY, "u") == first
    await again.uploads.append(REGISTRY, "u", first, chunks(DATA[first:]))
    digest = Digest.of(DATA, algorithm)  # pyright: ignore[reportArgumentType]
    assert await again.uploads.commit(REGISTRY, "u", digest) == len(DATA)
    assert await collect(again.blobs.read(REGISTRY, digest)) == DATA


async def test_commit_by_an_instance_that_wrote_nothing(local: LocalStorage, again: LocalStorage) -> None:
    await local.uploads.begin(REGISTRY, "u")
    await local.uploads.append(REGISTRY, "u", 0, chunks(DATA))
    assert await again.uploads.commit(REGISTRY, "u", Digest.of(DATA)) == len(DATA)
    with pytest.raises(UploadUnknown):
        await local.uploads.offset(REGISTRY, "u")
    assert await local.uploads.commit(REGISTRY, "u", Digest.of(DATA)) == len(DATA)


async def test_two_instances_in_turn(local: LocalStorage, again: LocalStorage) -> None:
    await local.uploads.begin(REGISTRY, "u")
    offset = 0
    for number in range(6):
        storage = (local, again)[number % 2]
        part = DATA[offset : offset + 300_000]
        offset = await storage.uploads.append(REGISTRY, "u", offset, chunks(part))
    with pytest.raises(RangeNotSatisfiable):
        await local.uploads.append(REGISTRY, "u", offset - 300_000, chunks(b"x"))
    assert await local.uploads.commit(REGISTRY, "u", Digest.of(DATA[:offset])) == offset


async def test_two_instances_at_once(local: LocalStorage, again: LocalStorage) -> None:
    await local.uploads.begin(REGISTRY, "u")

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        with pytest.raises(Unavailable):
            await again.uploads.append(REGISTRY, "u", 0, chunks(b"xyz"))

    assert await local.uploads.append(REGISTRY, "u", 0, body()) == 3
    assert await again.uploads.offset(REGISTRY, "u") == 3


FULL = HEADER_BYTES + STRIDE
WHOLE = FULL + 100 + FRAME_OVERHEAD


@pytest.mark.parametrize(
    ("length", "offset"),
    [
        (WHOLE, SEGMENT + 100),
        (WHOLE - 1, SEGMENT),
        (FULL + 1, SEGMENT),
        (FULL, SEGMENT),
        (FULL - 1, 0),
        (HEADER_BYTES + 15, 0),
        (HEADER_BYTES, 0),
    ],
)
async def test_torn_upload_goes_back_to_a_frame_border(
    local: LocalStorage, again: LocalStorage, length: int, offset: int
) -> None:
    await local.uploads.begin(REGISTRY, "u")
    await local.uploads.append(REGISTRY, "u", 0, chunks(DATA[: SEGMENT + 100]))
    path = local.layout.upload(REGISTRY, "u")
    assert path.stat().st_size == WHOLE
    os.truncate(path, length)
    for storage in (local, again):
        assert await storage.uploads.offset(REGISTRY, "u") == offset
    await again.uploads.append(REGISTRY, "u", offset, chunks(DATA[offset:]))
    assert await again.uploads.commit(REGISTRY, "u", Digest.of(DATA)) == len(DATA)


@pytest.mark.parametrize("content_of_file", [b"", b"\x89DARS", bytes(64), bytes(5000)])
async def test_upload_whose_header_was_never_written(local: LocalStorage, content_of_file: bytes) -> None:
    await local.uploads.begin(REGISTRY, "u")
    local.layout.upload(REGISTRY, "u").write_bytes(content_of_file)
    with pytest.raises(UploadUnknown):
        await local.uploads.offset(REGISTRY, "u")


async def test_end_mark_before_a_rename_that_never_came(local: LocalStorage, again: LocalStorage) -> None:
    digest = await push(local, REGISTRY, DATA[: SEGMENT + 100])
    os.rename(local.layout.blob(REGISTRY, digest), local.layout.upload(REGISTRY, "u"))
    assert await again.uploads.offset(REGISTRY, "u") == SEGMENT + 100
    await again.uploads.append(REGISTRY, "u", SEGMENT + 100, chunks(DATA[SEGMENT + 100 :]))
    assert await again.uploads.commit(REGISTRY, "u", Digest.of(DATA)) == len(DATA)
    assert await collect(again.blobs.read(REGISTRY, Digest.of(DATA))) == DATA


async def test_blob_of_full_frames_is_renamed_and_others_are_rewritten(local: LocalStorage) -> None:
    async def inode_after(upload: str, borders: list[int]) -> tuple[int, int]:
        await local.uploads.begin(REGISTRY, upload)
        offset = 0
        for border in [*borders, len(DATA)]:
            offset = await local.uploads.append(REGISTRY, upload, offset, chunks(DATA[offset:border]))
        before = local.layout.upload(REGISTRY, upload).stat().st_ino
        await local.uploads.commit(REGISTRY, upload, Digest.of(DATA))
        status = local.layout.blob(REGISTRY, Digest.of(DATA)).stat()
        assert status.st_size == HEADER_BYTES + len(DATA) + 3 * FRAME_OVERHEAD + END_BYTES
        return before, status.st_ino

    before, after = await inode_after("a", [SEGMENT, 2 * SEGMENT])
    assert before == after
    before, after = await inode_after("b", [5])
    assert before != after
    assert list(local.layout.uploads(REGISTRY).iterdir()) == []


# --- logs -----------------------------------------------------------------------------------------------------------


async def test_log_goes_on(local: LocalStorage, again: LocalStorage) -> None:
    await local.logs.append(REGISTRY, "run", 0, b"one\r\n")
    assert await again.logs.size(REGISTRY, "run") == 5
    assert await again.logs.append(REGISTRY, "run", 5, b"two\r\n") == 10
    assert await local.logs.read(REGISTRY, "run") == b"one\r\ntwo\r\n"
    assert await local.logs.append(REGISTRY, "run", 10, b"three") == 15
    await again.logs.delete(REGISTRY, "run")
    assert await local.logs.size(REGISTRY, "run") is None
    assert await again.logs.append(REGISTRY, "run", 0, b"new and longer than before") == 26
    assert await local.logs.read(REGISTRY, "run", 4) == b"and longer than before"


async def test_torn_log(local: LocalStorage, data: Path, keyring: Keyring) -> None:
    await local.logs.append(REGISTRY, "run", 0, b"one\r\n")
    await local.logs.append(REGISTRY, "run", 5, b"two\r\n")
    path = local.layout.log(REGISTRY, "run")
    stored = path.read_bytes()
    border = HEADER_BYTES + 5 + FRAME_OVERHEAD
    for length in range(border, len(stored)):
        path.write_bytes(stored[:length])
        storage = LocalStorage(data, keyring)
        assert await storage.logs.size(REGISTRY, "run") == 5
        assert await storage.logs.read(REGISTRY, "run") == b"one\r\n"
        assert await storage.logs.append(REGISTRY, "run", 0, b"one\r\ntwo\r\nthree") == 15
        assert await storage.logs.read(REGISTRY, "run") == b"one\r\ntwo\r\nthree"
        await storage.close()


async def test_log_written_elsewhere_right_now(local: LocalStorage) -> None:
    await local.logs.append(REGISTRY, "run", 0, b"one\r\n")
    fd = open_locked(local.layout.log(REGISTRY, "run"))
    try:
        with pytest.raises(Unavailable):
            await local.logs.append(REGISTRY, "run", 5, b"two\r\n")
        assert await local.logs.read(REGISTRY, "run") == b"one\r\n"
    finally:
        os.close(fd)


# --- what is left behind --------------------------------------------------------------------------------------------


async def test_sweep_removes_old_temporary_files_only(local: LocalStorage) -> None:
    digest = await push(local, REGISTRY, b"blob")
    await local.uploads.begin(REGISTRY, "open")
    old = local.layout.blob(REGISTRY, digest).with_name(".tmp-old")
    new = local.layout.uploads(REGISTRY) / ".tmp-new"
    for path, at in ((old, 1_000), (new, 3_000)):
        path.write_bytes(b"half")
        os.utime(path, (at, at))
    assert [found async for found, _ in local.blobs.list(REGISTRY)] == [digest]
    assert [upload.upload async for upload in local.uploads.list(REGISTRY)] == ["open"]
    assert await local.sweep(REGISTRY, 2_000_000_000) == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert await local.sweep(REGISTRY, 4_000_000_000) == 1
    assert await local.sweep("f" * 32, 4_000_000_000) == 0
    assert await local.blobs.read_whole(REGISTRY, digest, 10) == b"blob"
    assert await local.uploads.offset(REGISTRY, "open") == 0


async def test_registries(local: LocalStorage) -> None:
    assert await local.registries() == []
    await push(local, REGISTRY, b"blob")
    assert await local.registries() == [REGISTRY]
    trash = local.layout.registries / ".trash-of-a-crash"
    trash.mkdir()
    (trash / "file").write_bytes(b"x")
    await local.blobs.drop(REGISTRY)
    assert [path.name for path in local.layout.registries.iterdir()] == [GROUND_MARK]


async def test_modes(local: LocalStorage, data: Path) -> None:
    await push(local, REGISTRY, b"blob")
    await local.logs.append(REGISTRY, "run", 0, b"line")
    for path in (data / "registries").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
