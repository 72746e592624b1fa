"""Whoever can write to the disk can destroy, and nothing else: no change to a stored byte is ever served."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import ContentCorrupt
from darsena.storage import Keyring, LocalStorage
from darsena.storage.frames import END_BYTES, FRAME_OVERHEAD, HEADER_BYTES, STRIDE
from darsena.storage.layout import OBJECT

from .conftest import OTHER, REGISTRY
from .feeding import SEGMENT, chunks, collect, content, push

SIZE = 3 * SEGMENT + 1000
FRAMES = 4


def frame(data: bytes, index: int) -> bytes:
    start = HEADER_BYTES + index * STRIDE
    return data[start : min(start + STRIDE, len(data) - END_BYTES)]


def assemble(data: bytes, *order: int) -> bytes:
    return data[:HEADER_BYTES] + b"".join(frame(data, index) for index in order) + data[-END_BYTES:]


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if at >= 0 else flip(len(data) + at)(data)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    **{f"header byte {at}": flip(at) for at in range(HEADER_BYTES)},
    **{f"frame head byte {at}": flip(HEADER_BYTES + at) for at in range(16)},
    "first ciphertext byte": flip(HEADER_BYTES + 16),
    "a tag": flip(HEADER_BYTES + STRIDE - 1),
    "a byte of the last frame": flip(-END_BYTES - 500),
    **{f"end byte {at}": flip(at - END_BYTES) for at in range(END_BYTES)},
    "last byte cut": lambda data: data[:-1],
    "end mark cut": lambda data: data[:-END_BYTES],
    "cut at a frame border": lambda data: data[: HEADER_BYTES + 2 * STRIDE],
    "cut at a frame border, end mark kept": lambda data: assemble(data, 0, 1),
    "last frame cut, end mark kept": lambda data: assemble(data, 0, 1, 2),
    "first frame cut": lambda data: assemble(data, 1, 2, 3),
    "middle frame cut": lambda data: assemble(data, 0, 2, 3),
    "two frames swapped": lambda data: assemble(data, 1, 0, 2, 3),
    "a frame twice": lambda data: assemble(data, 0, 0, 2, 3),
    "a frame added": lambda data: assemble(data, 0, 1, 2, 2, 3),
    "bytes added": lambda data: data + b"x",
    "a second end mark": lambda data: data + data[-END_BYTES:],
    "header only": lambda data: data[:HEADER_BYTES],
    "half a header": lambda data: data[:10],
    "emptied": lambda data: b"",
    "zeroed": lambda data: bytes(len(data)),
}


async def assert_corrupt(storage: LocalStorage, digest: Digest, registry: str = REGISTRY) -> None:
    with pytest.raises(ContentCorrupt):
        await collect(storage.blobs.read(registry, digest))
    with pytest.raises(ContentCorrupt):
        await storage.blobs.read_whole(registry, digest, 1 << 30)
    assert storage.blobs.read_small(registry, digest, 10) is None


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_changed_blob(local: LocalStorage, change: Callable[[bytes], bytes]) -> None:
    digest = await push(local, REGISTRY, content(SIZE))
    path = local.layout.blob(REGISTRY, digest)
    path.write_bytes(change(path.read_bytes()))
    await assert_corrupt(local, digest)


PLACES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a full folder": lambda path: (path / "inside").mkdir(parents=True),
    "a pipe": os.mkfifo,
    "a link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to an endless device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("put", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("size", [100, SIZE])
async def test_something_else_in_a_blobs_place(local: LocalStorage, put: Callable[[Path], object], size: int) -> None:
    """Nobody waits for it, it is set aside like any other, and the blob can come again."""
    digest = await push(local, REGISTRY, content(size))
    path = local.layout.blob(REGISTRY, digest)
    path.unlink()
    put(path)
    await assert_corrupt(local, digest)
    assert [found.digest async for found in local.blobs.scan(REGISTRY)] == [digest]
    for _ in range(2):  # what was set aside before makes room
        assert await local.blobs.quarantine(REGISTRY, digest, all_of)
        assert list(path.parent.iterdir()) == []
        put(path)
    assert [found.digest for found in await local.blobs.remove(REGISTRY, [digest], 1 << 62, all_of)] == [digest]
    assert list(path.parent.iterdir()) == []
    assert await push(local, REGISTRY, content(size)) == digest
    assert await collect(local.blobs.read(REGISTRY, digest)) == content(size)


async def test_a_file_in_the_place_of_a_folder_of_blobs(local: LocalStorage) -> None:
    digest = await push(local, REGISTRY, content(100))
    folder = local.layout.blob(REGISTRY, digest).parent
    shutil.rmtree(folder)
    folder.write_bytes(b"mine")
    assert await local.blobs.stat(REGISTRY, digest) is None
    assert not await local.blobs.quarantine(REGISTRY, digest, all_of)
    assert [found async for found in local.blobs.scan(REGISTRY)] == []


async def all_of(digests: Sequence[Digest]) -> set[Digest]:
    return set(digests)


async def test_every_byte_of_a_small_blob(local: LocalStorage) -> None:
    data = content(5)
    digest = await push(local, REGISTRY, data)
    path = local.layout.blob(REGISTRY, digest)
    stored = path.read_bytes()
    for at in range(len(stored)):
        path.write_bytes(flip(at)(stored))
        await assert_corrupt(local, digest)
    path.write_bytes(stored)
    assert local.blobs.read_small(REGISTRY, digest, 5) == data


async def test_every_cut_of_a_small_blob(local: LocalStorage) -> None:
    digest = await push(local, REGISTRY, content(5))
    path = local.layout.blob(REGISTRY, digest)
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        await assert_corrupt(local, digest)


async def test_damage_touches_its_own_segment_only(local: LocalStorage) -> None:
    data = content(SIZE)
    digest = await push(local, REGISTRY, data)
    path = local.layout.blob(REGISTRY, digest)
    path.write_bytes(flip(HEADER_BYTES + 2 * STRIDE + 100)(path.read_bytes()))
    assert await collect(local.blobs.read(REGISTRY, digest, 0, 2 * SEGMENT)) == data[: 2 * SEGMENT]
    assert await collect(local.blobs.read(REGISTRY, digest, 3 * SEGMENT)) == data[3 * SEGMENT :]
    reading = local.blobs.read(REGISTRY, digest)
    received = b""
    while len(received) < 2 * SEGMENT:
        received += await anext(reading)
    assert received == data[: 2 * SEGMENT]
    with pytest.raises(ContentCorrupt):
        await anext(reading)


async def test_blob_in_place_of_another(local: LocalStorage) -> None:
    one = await push(local, REGISTRY, content(SIZE, "one"), upload="1")
    two = await push(local, REGISTRY, content(SIZE, "two"), upload="2")
    shutil.copy(local.layout.blob(REGISTRY, one), local.layout.blob(REGISTRY, two))
    await assert_corrupt(local, two)


async def test_frame_of_another_blob(local: LocalStorage) -> None:
    one = await push(local, REGISTRY, content(SIZE, "one"), upload="1")
    two = await push(local, REGISTRY, content(SIZE, "two"), upload="2")
    path = local.layout.blob(REGISTRY, one)
    mine, other = path.read_bytes(), local.layout.blob(REGISTRY, two).read_bytes()
    path.write_bytes(mine[:HEADER_BYTES] + frame(other, 0) + mine[HEADER_BYTES + STRIDE :])
    await assert_corrupt(local, one)


async def test_frame_of_the_same_content_written_before(local: LocalStorage) -> None:
    data = content(SIZE)
    digest = await push(local, REGISTRY, data, upload="1")
    path = local.layout.blob(REGISTRY, digest)
    old = path.read_bytes()
    await push(local, REGISTRY, data, upload="2")
    new = path.read_bytes()
    assert old != new
    path.write_bytes(new[:HEADER_BYTES] + frame(old, 0) + new[HEADER_BYTES + STRIDE :])
    await assert_corrupt(local, digest)


async def test_blob_moved_between_registries(local: LocalStorage) -> None:
    data = content(1000)
    digest = await push(local, REGISTRY, data, upload="1")
    await push(local, OTHER, data, upload="2")
    shutil.copy(local.layout.blob(REGISTRY, digest), local.layout.blob(OTHER, digest))
    await assert_corrupt(local, digest, OTHER)


async def test_source_moved_between_names_and_kinds(local: LocalStorage) -> None:
    data = content(1000)
    for name in ("a", "b"):
        await local.sources.put(REGISTRY, name, chunks(data))
    digest = await push(local, REGISTRY, data)
    folder = local.layout.source(REGISTRY, "b")
    for stranger in (local.layout.source(REGISTRY, "a") / OBJECT, local.layout.blob(REGISTRY, digest)):
        shutil.copy(stranger, folder / OBJECT)
        with pytest.raises(ContentCorrupt):
            await collect(local.sources.read(REGISTRY, "b"))
    shutil.copy(local.layout.source(REGISTRY, "a") / OBJECT, local.layout.blob(REGISTRY, digest))
    await assert_corrupt(local, digest)


async def test_block_moved(local: LocalStorage) -> None:
    for name, block in (("a", "1"), ("a", "2"), ("b", "1")):
        await local.sources.stage_block(REGISTRY, name, block, chunks(f"{name}{block}".encode()))
    mine = local.layout.source(REGISTRY, "a") / "1.block"
    for stranger in (local.layout.source(REGISTRY, "a") / "2.block", local.layout.source(REGISTRY, "b") / "1.block"):
        shutil.copy(stranger, mine)
        with pytest.raises(ContentCorrupt):
            await local.sources.commit_blocks(REGISTRY, "a", ["1"])
    assert await local.sources.stat(REGISTRY, "a") is None


# --- open uploads and logs ----------------------------------------------------------------------------------------


async def changed_upload(storage: LocalStorage, data: bytes) -> None:
    """In two parts, so that the blob can't be made of the file as it is; one byte of the first is changed."""
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(data[: SEGMENT + 100]))
    await storage.uploads.append(REGISTRY, "u", SEGMENT + 100, chunks(data[SEGMENT + 100 :]))
    path = storage.layout.upload(REGISTRY, "u")
    path.write_bytes(flip(HEADER_BYTES + 1000)(path.read_bytes()))


async def test_changed_upload_is_not_committed(local: LocalStorage) -> None:
    data = content(2 * SEGMENT + 100)
    await changed_upload(local, data)
    for algorithm in ("sha256", "sha512"):
        expected = Digest.of(data, algorithm)
        with pytest.raises(ContentCorrupt):
            await local.uploads.commit(REGISTRY, "u", expected)
        assert await local.blobs.stat(REGISTRY, expected) is None


async def test_changed_upload_falls_back_after_a_restart(local: LocalStorage, keyring: Keyring) -> None:
    data = content(2 * SEGMENT + 100)
    await changed_upload(local, data)
    again = LocalStorage(local.layout.root, keyring)
    assert await again.uploads.offset(REGISTRY, "u") == 0
    await again.uploads.append(REGISTRY, "u", 0, chunks(data))
    await again.uploads.commit(REGISTRY, "u", Digest.of(data))
    assert await again.blobs.read_whole(REGISTRY, Digest.of(data), SIZE) == data
    await again.close()


LINES = [b"first line\r\n", b"second line\r\n", b"third line\r\n", b"fourth line\r\n"]


async def write_log(storage: LocalStorage, registry: str = REGISTRY, name: str = "run") -> Path:
    size = 0
    for line in LINES:
        size = await storage.logs.append(registry, name, size, line)
    return storage.layout.log(registry, name)


def log_frames(stored: bytes) -> list[bytes]:
    position, frames = HEADER_BYTES, list[bytes]()
    for line in LINES:
        frames.append(stored[position : position + len(line) + FRAME_OVERHEAD])
        position += len(line) + FRAME_OVERHEAD
    return frames


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 1, 3, 2), (0, 0, 2, 3), (0, 2, 3), (1, 2, 3)])
async def test_log_frames_moved(local: LocalStorage, order: tuple[int, ...]) -> None:
    path = await write_log(local)
    stored = path.read_bytes()
    frames = log_frames(stored)
    path.unlink()
    path.write_bytes(stored[:HEADER_BYTES] + b"".join(frames[index] for index in order))
    whole = b"".join(LINES)
    try:
        assert whole.startswith(await local.logs.read(REGISTRY, "run"))
    except ContentCorrupt:
        return
    assert await local.logs.size(REGISTRY, "run") != len(whole)  # shorter than its run's row says


async def test_log_damage_is_not_served_and_not_cut_off(local: LocalStorage) -> None:
    path = await write_log(local)
    stored = path.read_bytes()
    path.unlink()
    path.write_bytes(flip(HEADER_BYTES + 20)(stored))
    whole = b"".join(LINES)
    assert await local.logs.size(REGISTRY, "run") == len(whole)
    with pytest.raises(ContentCorrupt):
        await local.logs.read(REGISTRY, "run")
    assert await local.logs.read(REGISTRY, "run", len(LINES[0])) == whole[len(LINES[0]) :]
    assert await local.logs.append(REGISTRY, "run", len(whole), b"more") == len(whole) + 4
    assert await local.logs.read(REGISTRY, "run", len(whole)) == b"more"


async def test_log_moved_between_runs_and_registries(local: LocalStorage) -> None:
    path = await write_log(local)
    await write_log(local, name="other")
    await write_log(local, OTHER)
    stored = path.read_bytes()
    for stranger, registry, name in (
        (local.layout.log(REGISTRY, "other"), REGISTRY, "other"),
        (local.layout.log(OTHER, "run"), OTHER, "run"),
    ):
        stranger.unlink()
        stranger.write_bytes(stored)
        with pytest.raises(ContentCorrupt):
            await local.logs.read(registry, name)
        size = await local.logs.size(registry, name)
        assert size is not None
        assert size < len(b"".join(LINES))
