"""Every kind of damage is found and named; repair takes garbage and notes only, and lets lost blobs be pushed again."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, ManifestBlobUnknown
from darsena.core.names import RepositoryName
from darsena.registry.fsck_model import KINDS
from registry_gc.world import CONFIG, REGISTRY, UID, World, chunks, document_of

LAYER = Digest.of(b"layer")


@pytest.fixture
async def image(world: World) -> Digest:
    digest = await world.image("shop/web", "v1", b"layer")
    world.clock.advance(7200)
    return digest


async def kinds(world: World, *, repair: bool = False) -> list[tuple[str, str, bool]]:
    return sorted((found.kind, found.subject, found.is_repaired) for found in await world.findings(repair=repair))


async def test_clean(world: World, image: Digest) -> None:
    assert await world.findings() == []


async def test_bytes_missing(world: World, image: Digest) -> None:
    world.storage.layout.blob(UID, LAYER).unlink()
    assert await kinds(world) == [("blob.bytes_missing", str(LAYER), False)]
    await lost_blob_comes_back(world, image, "blob.bytes_missing")


async def test_corrupt(world: World, image: Digest) -> None:
    path = world.storage.layout.blob(UID, LAYER)
    content = bytearray(path.read_bytes())
    content[90] ^= 1
    path.write_bytes(content)
    assert await kinds(world) == [("blob.corrupt", str(LAYER), False)]
    await lost_blob_comes_back(world, image, "blob.corrupt")
    assert world.storage.layout.quarantine(UID, LAYER).read_bytes() == bytes(content)


async def test_cut_short(world: World, image: Digest) -> None:
    path = world.storage.layout.blob(UID, LAYER)
    path.write_bytes(path.read_bytes()[:-7])
    assert await kinds(world) == [("blob.corrupt", str(LAYER), False)]


async def test_what_cannot_be_read_is_named_and_kept(
    world: World, image: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad place on the disk ends no check, and takes nothing away: the disk may be mended."""
    path = world.storage.layout.blob(UID, LAYER)
    opening = os.open

    def fail(name: Any, *rest: Any, **more: Any) -> int:
        if name == path:
            raise OSError(errno.EIO, "Input/output error")
        return opening(name, *rest, **more)

    with monkeypatch.context() as failing:
        failing.setattr(os, "open", fail)
        for repair in (False, True):
            assert await kinds(world, repair=repair) == [("blob.unreadable", str(LAYER), False)]
    assert await world.findings() == []
    assert await world.read(LAYER) == b"layer"


async def test_another_size(world: World, image: Digest) -> None:
    world.damage("UPDATE blob SET size = 6 WHERE digest = :digest", digest=LAYER.stored)
    assert await kinds(world) == [("blob.size_differs", str(LAYER), False)]


async def lost_blob_comes_back(world: World, image: Digest, kind: str) -> None:
    """Named, not told to be there any more, never part of a new manifest; whole again after the same push."""
    found = await kinds(world, repair=True)
    assert (kind, str(LAYER), True) in found
    with pytest.raises(BlobUnknown):
        await world.size("shop/web", LAYER)
    with pytest.raises(ManifestBlobUnknown):
        await world.manifest("shop/web", document_of(b"layer", b"layer"), "new")
    assert await kinds(world, repair=True) == [("manifest.content_missing", str(image), False)]
    await world.collect()
    await world.image("shop/web", "v1", b"layer")
    assert await world.findings() == []
    assert await world.read(LAYER) == b"layer"


async def test_manifest_corrupt(world: World, image: Digest) -> None:
    world.damage("UPDATE manifest SET sealed = :sealed", sealed=b"nonsense")
    assert await kinds(world, repair=True) == [("manifest.corrupt", str(image), False)]


async def test_manifest_of_another_size(world: World, image: Digest) -> None:
    world.damage("UPDATE manifest SET size = 1")
    assert await kinds(world) == [("manifest.corrupt", str(image), False)]


async def test_reference_not_noted(world: World, image: Digest) -> None:
    world.damage("DELETE FROM manifest_reference WHERE target = :target", target=LAYER.stored)
    assert await kinds(world) == [("manifest.references_differ", str(image), False)]
    assert await kinds(world, repair=True) == [("manifest.references_differ", str(image), True)]
    assert await world.findings() == []


async def test_reference_of_nothing(world: World, image: Digest) -> None:
    world.damage("DELETE FROM manifest")
    found = await kinds(world, repair=True)
    assert found == [("reference.dangling", str(image), True), ("tag.dangling", "v1", False)]
    assert await kinds(world) == [("tag.dangling", "v1", False)]


async def test_link_missing(world: World, image: Digest) -> None:
    world.damage("DELETE FROM repository_blob WHERE digest = :digest", digest=LAYER.stored)
    assert await kinds(world, repair=True) == [("manifest.content_missing", str(image), False)]


async def test_link_to_nothing(world: World, image: Digest) -> None:
    unused = await world.blob("shop/web", b"unused")
    world.damage("DELETE FROM blob WHERE digest = :digest", digest=unused.stored)
    assert ("link.dangling", str(unused), False) in await kinds(world)
    world.clock.advance(7200)
    assert ("link.dangling", str(unused), True) in await kinds(world, repair=True)
    assert await world.findings() == []
    assert world.kinds()[-1] == "blob.unlinked"


async def test_orphans(world: World, image: Digest) -> None:
    unused = await world.blob("shop/web", b"unused")
    world.damage("DELETE FROM repository_blob WHERE digest = :digest", digest=unused.stored)
    world.damage("DELETE FROM blob WHERE digest = :digest", digest=unused.stored)
    await world.storage.uploads.begin(UID, "0" * 32)
    (world.storage.layout.blobs(UID) / ".tmp-x").write_bytes(b"1234")
    world.clock.advance(7200)
    expected = [("blob.orphan", str(unused)), ("leftover", "1 files"), ("upload.orphan", "0" * 32)]
    assert await kinds(world) == [(*found, False) for found in expected]
    assert await kinds(world, repair=True) == [(*found, True) for found in expected]
    assert await world.findings() == []
    assert await world.stored() == {LAYER, Digest.of(CONFIG)}


async def test_young_things_are_no_findings(world: World, image: Digest) -> None:
    """They may belong to a push under way."""
    world.clock.advance(time.time_ns() // 1000 / 1e6 - world.clock.now_us() / 1e6)  # back to the files' time
    unused = await world.blob("shop/web", b"unused")
    world.damage("DELETE FROM repository_blob WHERE digest = :digest", digest=unused.stored)
    world.damage("DELETE FROM blob WHERE digest = :digest", digest=unused.stored)
    await world.storage.uploads.begin(UID, "0" * 32)
    assert await world.findings(repair=True) == []


async def test_upload_without_bytes(world: World, image: Digest) -> None:
    uid = await world.service.uploading.begin(REGISTRY, RepositoryName("shop/web"), "user:1")
    await world.service.uploading.append(REGISTRY, RepositoryName("shop/web"), uid, "user:1", chunks(b"some"))
    await world.storage.uploads.abort(UID, uid)
    assert await world.findings() == []
    world.clock.advance(7200)
    assert await kinds(world, repair=True) == [("upload.bytes_missing", uid, True)]
    assert await world.findings() == []


async def test_folder_of_no_registry(world: World, image: Digest) -> None:
    (world.storage.layout.registries / ("f" * 32)).mkdir()
    assert await kinds(world, repair=True) == [("registry.orphan", "f" * 32, False)]
    assert (world.storage.layout.registries / ("f" * 32)).is_dir()


def test_every_kind_is_tested() -> None:
    text = Path(__file__).read_text("utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []
