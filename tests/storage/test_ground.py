"""A disk that is unmounted, a folder that was moved: nothing is written in its place, nothing is thought to be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, DiskFailure, StartFailure, UploadUnknown
from darsena.storage import Keyring, LocalStorage
from darsena.storage.layout import GROUND_MARK

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content, push

UPLOAD = "0" * 32


async def refuse_all(local: LocalStorage, digest: Digest) -> None:
    with pytest.raises(DiskFailure):
        await local.blobs.stat(REGISTRY, digest)
    with pytest.raises(DiskFailure):
        await collect(local.blobs.read(REGISTRY, digest))
    with pytest.raises(DiskFailure):
        await local.uploads.put(REGISTRY, b"new", Digest.of(b"new"))
    with pytest.raises(DiskFailure):
        await local.uploads.begin(REGISTRY, "1" * 32)
    with pytest.raises(DiskFailure):
        await local.uploads.offset(REGISTRY, UPLOAD)
    with pytest.raises(DiskFailure):
        async with local.blobs.hold(REGISTRY, digest):
            pass
    with pytest.raises(DiskFailure):
        await local.sources.put(REGISTRY, "source", chunks(b"new"))
    with pytest.raises(DiskFailure):
        await local.logs.append(REGISTRY, "log", 0, b"new")
    with pytest.raises(DiskFailure):
        await local.blobs.drop(REGISTRY)


@pytest.mark.parametrize("instead", ["nothing", "an empty folder"])
@pytest.mark.parametrize("moved", ["registries", "data folder"])
async def test_another_folder_in_its_place(local: LocalStorage, instead: str, moved: str) -> None:
    digest = await push(local, REGISTRY, content(SEGMENT + 1))
    await local.uploads.begin(REGISTRY, UPLOAD)
    folder = local.layout.registries if moved == "registries" else local.layout.root
    aside = folder.rename(folder.with_name("aside"))
    if instead == "an empty folder":
        folder.mkdir()
    await refuse_all(local, digest)
    if instead == "an empty folder":
        assert list(folder.iterdir()) == []
        folder.rmdir()
    assert not folder.exists()
    aside.rename(folder)
    assert await collect(local.blobs.read(REGISTRY, digest)) == content(SEGMENT + 1)
    assert await local.uploads.offset(REGISTRY, UPLOAD) == 0


async def test_what_is_not_there_is_unknown_where_the_folder_is(local: LocalStorage) -> None:
    with pytest.raises(BlobUnknown):
        await collect(local.blobs.read(REGISTRY, Digest.of(b"never")))
    with pytest.raises(UploadUnknown):
        await local.uploads.offset(REGISTRY, UPLOAD)


async def test_a_folder_of_before_gets_its_mark_at_the_start(local: LocalStorage, keyring: Keyring) -> None:
    digest = await push(local, REGISTRY, b"layer")
    (local.layout.registries / GROUND_MARK).unlink()
    again = LocalStorage(local.layout.root, keyring)
    assert await collect(again.blobs.read(REGISTRY, digest)) == b"layer"
    assert (local.layout.registries / GROUND_MARK).exists()


def test_a_file_in_its_place(tmp_path: Path, keyring: Keyring) -> None:
    (tmp_path / "registries").write_bytes(b"mine")
    with pytest.raises(StartFailure):
        LocalStorage(tmp_path, keyring)
