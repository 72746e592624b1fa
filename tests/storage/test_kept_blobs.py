"""Small blobs that are pulled often come from memory, as long as their files stay as they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.storage import LocalStorage, local_blobs
from darsena.storage.kept_blobs import LARGEST_BYTES, KeptBlobs, identify

from .conftest import OTHER, REGISTRY
from .feeding import content, push


def refuse_to_read(*_args: object) -> bytes:
    raise AssertionError("it was read again")


def flip(path: Path) -> None:
    stored = bytearray(path.read_bytes())
    stored[100] ^= 1
    path.write_bytes(stored)


def flip_and_set_the_time_back(path: Path) -> None:
    before = os.stat(path)
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.write_bytes(b"nonsense")


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


async def test_what_is_asked_for_again_is_not_read_again(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = await push(local, REGISTRY, b"layer")
    assert local.blobs.read_small(REGISTRY, digest, 5) == b"layer"
    assert local.blobs.read_small(OTHER, digest, 5) is None  # of no other registry
    monkeypatch.setattr(local_blobs, "read_small_now", refuse_to_read)
    assert local.blobs.read_small(REGISTRY, digest, 5) == b"layer"


@pytest.mark.parametrize("change", [Path.unlink, flip, flip_and_set_the_time_back, replace, put_a_folder])
async def test_a_file_that_changed_is_noticed(local: LocalStorage, change: Callable[[Path], None]) -> None:
    digest = await push(local, REGISTRY, content(5_000))
    for _ in range(2):
        assert local.blobs.read_small(REGISTRY, digest, 5_000) == content(5_000)
    await asyncio.sleep(0.02)  # a tick of the file system's clock
    change(local.layout.blob(REGISTRY, digest))
    for _ in range(2):
        assert local.blobs.read_small(REGISTRY, digest, 5_000) is None


async def test_a_blob_that_was_put_back(local: LocalStorage) -> None:
    digest = await push(local, REGISTRY, b"layer")
    assert local.blobs.read_small(REGISTRY, digest, 5) == b"layer"
    await local.blobs.delete(REGISTRY, digest)
    assert local.blobs.read_small(REGISTRY, digest, 5) is None
    await push(local, REGISTRY, b"layer")
    for _ in range(2):
        assert local.blobs.read_small(REGISTRY, digest, 5) == b"layer"


async def test_large_ones_are_read_each_time(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = await push(local, REGISTRY, content(LARGEST_BYTES + 1))
    assert local.blobs.read_small(REGISTRY, digest, LARGEST_BYTES + 1) == content(LARGEST_BYTES + 1)
    monkeypatch.setattr(local_blobs, "read_small_now", refuse_to_read)
    with pytest.raises(AssertionError, match="read again"):
        local.blobs.read_small(REGISTRY, digest, LARGEST_BYTES + 1)


def test_memory_is_bounded_by_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    kept, digests = KeptBlobs(kept_bytes=1_000), [Digest.of(bytes([number])) for number in range(30)]
    for digest in digests:
        for _ in range(2):  # twice takes no more room than once
            kept.keep(REGISTRY, digest, path, identify(path), bytes(100))
        assert kept.find(REGISTRY, digests[0]) is not None  # the one that is used stays
    found = [digest for digest in digests if kept.find(REGISTRY, digest) is not None]
    assert found == [digests[0], *digests[-9:]]


def test_nothing_is_kept_of_what_was_not_there(tmp_path: Path) -> None:
    kept, digest = KeptBlobs(), Digest.of(b"x")
    kept.keep(REGISTRY, digest, tmp_path / "gone", identify(tmp_path / "gone"), b"x")
    assert kept.find(REGISTRY, digest) is None
