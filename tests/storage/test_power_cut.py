"""A power cut keeps what was synced and nothing else: replayed from a record of every fsync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import UploadUnknown
from darsena.storage import Keyring, LocalStorage
from faults.power import Disk

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content


@pytest.fixture
def disk(data: Path) -> Iterator[Disk]:
    data.mkdir()
    disk = Disk(data)
    with disk.recording():
        yield disk


@pytest.fixture
def storage(disk: Disk, local: LocalStorage) -> LocalStorage:
    return local


async def reopened(disk: Disk, keyring: Keyring, target: Path) -> LocalStorage:
    disk.cut(target)
    return LocalStorage(target, keyring)


async def test_committed_blob(disk: Disk, storage: LocalStorage, keyring: Keyring, tmp_path: Path) -> None:
    for number, (borders, sync) in enumerate([([], False), ([], True), ([5], True), ([SEGMENT], True)]):
        whole = content(SEGMENT + 9, f"{number}")
        await storage.uploads.begin(REGISTRY, f"u{number}")
        offset = 0
        for border in [*borders, len(whole)]:
            part = chunks(whole[offset:border])
            offset = await storage.uploads.append(REGISTRY, f"u{number}", offset, part, sync=sync)
        await storage.uploads.commit(REGISTRY, f"u{number}", Digest.of(whole))
        again = await reopened(disk, keyring, tmp_path / f"after{number}")
        assert await collect(again.blobs.read(REGISTRY, Digest.of(whole))) == whole
        await again.close()


async def test_answered_append(disk: Disk, storage: LocalStorage, keyring: Keyring, tmp_path: Path) -> None:
    whole = content(2 * SEGMENT)
    await storage.uploads.begin(REGISTRY, "u")
    offset = 0
    for number, size in enumerate([100, SEGMENT, 50]):
        offset = await storage.uploads.append(REGISTRY, "u", offset, chunks(whole[offset : offset + size]))
        again = await reopened(disk, keyring, tmp_path / f"after{number}")
        assert await again.uploads.offset(REGISTRY, "u") == offset
        await again.close()


async def test_unanswered_append(disk: Disk, storage: LocalStorage, keyring: Keyring, tmp_path: Path) -> None:
    await storage.uploads.begin(REGISTRY, "u")
    await storage.uploads.append(REGISTRY, "u", 0, chunks(b"abc"), sync=False)
    again = await reopened(disk, keyring, tmp_path / "after")
    with pytest.raises(UploadUnknown):  # the record can tell: what nobody synced is gone
        await again.uploads.offset(REGISTRY, "u")
    await again.close()


async def test_source_and_log(disk: Disk, storage: LocalStorage, keyring: Keyring, tmp_path: Path) -> None:
    await storage.sources.stage_block(REGISTRY, "s", "a", chunks(b"source"))
    await storage.sources.commit_blocks(REGISTRY, "s", ["a"])
    await storage.logs.append(REGISTRY, "run", 0, b"one\r\n")
    await storage.logs.append(REGISTRY, "run", 5, b"two\r\n")
    again = await reopened(disk, keyring, tmp_path / "after")
    assert await collect(again.sources.read(REGISTRY, "s")) == b"source"
    assert await again.logs.read(REGISTRY, "run") == b"one\r\ntwo\r\n"
    await again.close()


async def test_deletions(disk: Disk, storage: LocalStorage, keyring: Keyring, tmp_path: Path) -> None:
    for upload, whole in (("u1", b"one"), ("u2", b"two")):
        await storage.uploads.begin(REGISTRY, upload)
        await storage.uploads.append(REGISTRY, upload, 0, chunks(whole))
        await storage.uploads.commit(REGISTRY, upload, Digest.of(whole))
    await storage.uploads.begin(REGISTRY, "aborted")
    await storage.uploads.append(REGISTRY, "aborted", 0, chunks(b"abc"))
    await storage.logs.append(REGISTRY, "run", 0, b"line")
    await storage.blobs.delete(REGISTRY, Digest.of(b"one"))
    await storage.uploads.abort(REGISTRY, "aborted")
    await storage.logs.delete(REGISTRY, "run")
    again = await reopened(disk, keyring, tmp_path / "after1")
    assert await again.logs.size(REGISTRY, "run") is None
    with pytest.raises(UploadUnknown):
        await again.uploads.offset(REGISTRY, "aborted")
    assert await again.blobs.stat(REGISTRY, Digest.of(b"one")) is None
    assert await again.blobs.stat(REGISTRY, Digest.of(b"two")) == 3
    await again.close()
    await storage.blobs.drop(REGISTRY)
    again = await reopened(disk, keyring, tmp_path / "after2")
    assert await again.blobs.stat(REGISTRY, Digest.of(b"two")) is None
    await again.close()
