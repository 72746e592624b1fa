"""What gc takes, and what it never does (R5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, ManifestBlobUnknown
from darsena.core.names import RepositoryName

from .world import CONFIG, GRACE_S, OTHER, OTHER_UID, REGISTRY, UID, World, chunks, document_of, index_of


async def test_what_a_manifest_needs_stays(world: World) -> None:
    """Tagged, untagged, an index's children, a subject's referrers: a manifest keeps its blobs."""
    await world.image("shop/web", "v1", b"tagged")
    child = await world.image("shop/web", None, b"child")
    await world.manifest("shop/web", index_of(child), "multi")
    subject = await world.image("shop/web", None, b"subject")
    await world.image("shop/web", None, b"signature", subject=subject)
    before = await world.stored()
    await world.collect()
    assert await world.stored() == before
    assert "blob.removed" not in world.kinds()
    assert await world.findings() == []


async def test_what_nothing_needs_goes(world: World) -> None:
    digest = await world.image("shop/web", "v1", b"first", b"common")
    await world.image("shop/web", "v2", b"second", b"common")
    await world.delete("shop/web", digest)
    await world.collect()
    assert await world.stored() == {Digest.of(content) for content in (CONFIG, b"second", b"common")}
    assert world.kinds().count("blob.removed") == 1
    assert world.kinds().count("blob.unlinked") == 1
    run = await world.gc.find_last()
    assert run is not None
    assert (run.status, run.progress.blobs_removed, run.progress.bytes_freed) == ("Succeeded", 1, len(b"first"))
    assert await world.findings() == []


async def test_deleted_repository(world: World) -> None:
    await world.image("shop/web", "v1", b"layer")
    await world.service.deleting.delete_repository(REGISTRY, RepositoryName("shop/web"))
    await world.collect()
    assert await world.stored() == set()


async def test_young_blobs_stay(world: World) -> None:
    """A push takes time: nothing goes before the grace, nor does a mark before another."""
    digest = await world.blob("shop/web", b"not yet used")
    world.clock.advance(GRACE_S - 60)
    await world.run_gc()
    world.clock.advance(GRACE_S - 60)
    await world.run_gc()
    assert await world.stored() == {digest}
    world.clock.advance(GRACE_S - 60)
    await world.run_gc()  # marked less than a grace ago
    assert await world.stored() == {digest}
    world.clock.advance(120)
    await world.run_gc()
    assert await world.stored() == set()


async def test_a_link_that_its_repository_does_not_use(world: World) -> None:
    """The bytes stay for the other repository; this one may not serve them any more."""
    digest = await world.image("shop/web", "v1", b"layer")
    await world.image("shop/api", "v1", b"layer")
    await world.delete("shop/web", digest)
    await world.collect()
    assert await world.size("shop/api", Digest.of(b"layer")) == 5
    with pytest.raises(BlobUnknown):
        await world.size("shop/web", Digest.of(b"layer"))
    assert await world.findings() == []


async def test_other_registries_are_apart(world: World) -> None:
    """The same bytes in two registries are two blobs: a link in one does not keep the other's."""
    digest = await world.image("shop/web", "v1", b"layer")
    await world.blob("a/b", b"layer", OTHER)
    await world.collect()
    assert await world.stored() >= {Digest.of(b"layer")}
    assert [found async for found in world.storage.blobs.list(OTHER_UID)] == []
    await world.delete("shop/web", digest)
    await world.blob("a/b", b"layer", OTHER)
    await world.collect()
    assert await world.stored() == set()


async def test_only_the_registry_that_is_named(world: World) -> None:
    await world.blob("a", b"one")
    await world.blob("a", b"two", OTHER)
    for _ in range(2):
        world.clock.advance(GRACE_S + 10)
        await world.gc.start(REGISTRY)
        await world.gc.run_due()
    assert await world.stored() == set()
    assert len([found async for found in world.storage.blobs.list(OTHER_UID)]) == 1


# --- marks ----------------------------------------------------------------------------------------------------------


async def marked(world: World) -> Digest:
    """A blob that gc has marked, old enough that the next run takes it."""
    digest = await world.blob("shop/web", b"layer")
    await world.blob("shop/web", CONFIG)
    world.clock.advance(GRACE_S + 10)
    await world.run_gc()
    world.clock.advance(GRACE_S + 10)
    return digest


async def ask(world: World, digest: Digest) -> None:
    await world.size("shop/web", digest)
    await world.size("shop/web", Digest.of(CONFIG))


async def push_again(world: World, digest: Digest) -> None:
    await world.blob("shop/web", b"layer")
    await world.blob("shop/web", CONFIG)


async def mount(world: World, digest: Digest) -> None:
    for found in (digest, Digest.of(CONFIG)):
        assert await world.service.uploading.mount(REGISTRY, RepositoryName("shop/new"), found, ["shop/web"])


@pytest.mark.parametrize("use", [ask, push_again, mount])
async def test_whoever_relies_on_a_blob_clears_its_mark(
    world: World, use: Callable[[World, Digest], Awaitable[None]]
) -> None:
    digest = await marked(world)
    await use(world, digest)
    await world.run_gc()
    assert await world.read(digest) == b"layer"
    repository = "shop/new" if use is mount else "shop/web"
    await world.manifest(repository, document_of(b"layer"), "v1")
    await world.collect()
    assert await world.read(digest) == b"layer"
    assert await world.findings() == []


async def test_a_manifest_that_comes_after_the_mark(world: World) -> None:
    """Without asking again: what it references is looked at when the mark is acted on."""
    digest = await marked(world)
    await world.manifest("shop/web", document_of(b"layer"), "v1")
    await world.run_gc()
    assert await world.read(digest) == b"layer"
    await world.collect()
    assert await world.size("shop/web", digest) == 5


async def test_nobody_asked(world: World) -> None:
    digest = await marked(world)
    await world.run_gc()
    assert await world.stored() == set()
    with pytest.raises(BlobUnknown):
        await world.size("shop/web", digest)
    assert not await world.service.uploading.mount(REGISTRY, RepositoryName("shop/new"), digest, ["shop/web"])
    with pytest.raises(ManifestBlobUnknown):
        await world.manifest("shop/web", document_of(b"layer"), "v1")
    await world.image("shop/web", "v1", b"layer")
    assert await world.read(digest) == b"layer"


# --- bytes and uploads without rows -----------------------------------------------------------------------------------


async def test_orphans_leftovers_and_uploads(world: World) -> None:
    await world.image("shop/web", "v1", b"layer")
    orphan = Digest.of(b"orphan")
    await world.storage.uploads.begin(UID, "lost")
    await world.storage.uploads.begin(UID, "orphan")
    await world.storage.uploads.append(UID, "orphan", 0, chunks(b"orphan"))
    await world.storage.uploads.commit(UID, "orphan", orphan)
    leftover = world.storage.layout.blobs(UID) / "sha256" / ".tmp-1"
    leftover.write_bytes(b"cut off")
    open_ = await world.service.uploading.begin(REGISTRY, RepositoryName("shop/web"), "user:1")
    await world.service.uploading.append(REGISTRY, RepositoryName("shop/web"), open_, "user:1", chunks(b"some"))
    plan = await world.gc.plan(REGISTRY)
    assert (plan.orphans.number, plan.leftovers.number, plan.uploads.number) == (0, 0, 0)

    world.clock.advance(8 * 86_400)
    plan = await world.gc.plan(REGISTRY)
    assert (plan.orphans.number, plan.leftovers.number, plan.leftovers.size, plan.uploads.number) == (1, 1, 7, 2)
    await world.run_gc()
    assert orphan not in await world.stored()
    assert not leftover.exists()
    assert [found async for found in world.storage.uploads.list(UID)] == []
    run = await world.gc.find_last()
    assert run is not None
    assert (run.progress.orphans_removed, run.progress.leftovers_removed, run.progress.uploads_removed) == (1, 1, 2)
    assert await world.findings() == []
