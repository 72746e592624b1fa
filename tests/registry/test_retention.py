"""The retention policy takes what lost its last tag while it was on, when its days are over, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from darsena.core import media_types
from darsena.core.digest import Digest
from darsena.core.names import TagName
from darsena.registry.retention import Policy, Retention
from darsena.testing import FakeClock

from .conftest import APP, REGISTRY, Rooms, make_image

DAY_US = 86_400 * 1_000_000
KEEP_US = 7 * DAY_US


class Keeper:
    """A registry whose policy is switched on now."""

    def __init__(self, rooms: Rooms, clock: FakeClock) -> None:
        self.rooms, self.clock = rooms, clock
        self.policies = [Policy(registry=REGISTRY, since_us=clock.now_us(), keep_us=KEEP_US)]
        self.retention = Retention(rooms.db, rooms.service.deleting, self.list_policies)

    async def list_policies(self) -> list[Policy]:
        return self.policies

    async def sweep(self, days: float = 7) -> int:
        self.clock.advance(days * 86_400)
        return await self.retention.sweep()

    async def push(self, tag: str | None, layer: bytes, **more: Any) -> Digest:
        """An image of Docker's media type."""
        for content in (b"config", layer):
            await self.rooms.push_blob(content)
        document = make_image(b"config", layer, **{"mediaType": media_types.DOCKER_MANIFEST, **more})
        return await self.put(tag, document)

    async def put(self, tag: str | None, document: dict[str, Any]) -> Digest:
        content = msgspec.json.encode(document)
        digest = Digest.of(content)
        reference = digest if tag is None else TagName(tag)
        await self.rooms.service.manifests.put(REGISTRY, APP, reference, content, document["mediaType"])
        return digest

    async def untag(self, tag: str) -> None:
        self.clock.advance(1)
        await self.rooms.service.deleting.delete_tag(REGISTRY, APP, TagName(tag))

    async def lock(self, digest: Digest, name: str) -> None:
        await self.rooms.service.catalog.set_manifest_attributes(REGISTRY, APP, digest, {name: False})

    async def left(self) -> set[Digest]:
        page = await self.rooms.service.catalog.list_manifests(REGISTRY, APP, last=None, limit=1000, order="none")
        return {view.manifest.digest for view in page.items}

    def noted(self) -> int:
        return self.rooms.db.read_sync(
            lambda tx: tx.connection.execute(text("SELECT count(*) FROM untagged")).scalar_one()
        )


@pytest.fixture
def keeper(rooms: Rooms, clock: FakeClock) -> Keeper:
    return Keeper(rooms, clock)


async def test_what_lost_its_last_tag_goes_when_its_days_are_over(keeper: Keeper) -> None:
    moved = await keeper.push("latest", b"one")
    two_tags = await keeper.push("a", b"two")
    await keeper.push("b", b"two")
    await keeper.untag("a")
    kept = {two_tags, await keeper.push("latest", b"three"), await keeper.push(None, b"never tagged")}
    assert await keeper.sweep(6.9) == 0
    assert await keeper.left() == kept | {moved}
    kinds = keeper.rooms.kinds()
    assert await keeper.sweep(0.2) == 1
    assert await keeper.left() == kept
    assert keeper.rooms.kinds() == [*kinds, "manifest.deleted"]
    await keeper.untag("b")
    assert await keeper.sweep() == 1
    assert await keeper.left() == kept - {two_tags}
    assert keeper.noted() == 0


async def test_a_tag_in_time_is_in_time(keeper: Keeper) -> None:
    digest = await keeper.push("v1", b"one")
    await keeper.untag("v1")
    assert await keeper.sweep(6) == 0
    await keeper.push("v2", b"one")
    assert await keeper.sweep(30) == 0
    await keeper.untag("v2")
    assert await keeper.sweep(6) == 0
    assert await keeper.left() == {digest}
    assert await keeper.sweep(1.1) == 1


async def test_only_what_was_untagged_since_it_is_on(keeper: Keeper) -> None:
    await keeper.push("v1", b"before")
    await keeper.untag("v1")
    keeper.clock.advance(1)
    keeper.policies = [Policy(registry=REGISTRY, since_us=keeper.clock.now_us(), keep_us=0)]
    await keeper.push("v1", b"after")
    await keeper.untag("v1")
    assert await keeper.sweep(30) == 1
    assert len(await keeper.left()) == 1
    keeper.policies = []
    assert await keeper.sweep(30) == 0


@pytest.mark.parametrize("flag", ["write_enabled", "delete_enabled"])
async def test_nothing_that_is_locked(keeper: Keeper, flag: str) -> None:
    digest = await keeper.push("v1", b"one")
    await keeper.untag("v1")
    await keeper.lock(digest, flag)
    assert await keeper.sweep() == 0
    await keeper.rooms.service.catalog.set_manifest_attributes(REGISTRY, APP, digest, {flag: True})
    assert await keeper.sweep(0) == 1


async def test_nothing_of_a_repository_that_is_locked(keeper: Keeper) -> None:
    await keeper.push("v1", b"one")
    await keeper.untag("v1")
    await keeper.rooms.service.catalog.set_repository_attributes(REGISTRY, APP, {"write_enabled": False})
    assert await keeper.sweep() == 0


async def test_only_dockers_media_types(keeper: Keeper) -> None:
    await keeper.push("v1", b"one", mediaType=media_types.OCI_MANIFEST)
    await keeper.untag("v1")
    assert await keeper.sweep() == 0


async def test_a_child_stays_with_its_index_and_may_go_after_it(keeper: Keeper) -> None:
    child = await keeper.push("child", b"one")
    entry = {"mediaType": media_types.DOCKER_MANIFEST, "digest": str(child), "size": 1}
    index = await keeper.put("all", {"schemaVersion": 2, "mediaType": media_types.DOCKER_LIST, "manifests": [entry]})
    await keeper.untag("child")
    assert await keeper.sweep() == 0
    await keeper.untag("all")
    assert await keeper.sweep() == 1
    assert await keeper.left() == {child}
    assert index != child
    assert await keeper.sweep(0) == 1


async def test_referrers_go_along_unless_one_is_tagged_or_locked(keeper: Keeper) -> None:
    subjects: list[Digest] = []
    for number, tag in enumerate((None, "signed", None)):
        subject = await keeper.push("v1", b"layer %d" % number)
        descriptor = {"mediaType": media_types.DOCKER_MANIFEST, "digest": str(subject), "size": 1}
        signature = await keeper.push(
            tag, b"signature %d" % number, mediaType=media_types.OCI_MANIFEST, subject=descriptor
        )
        await keeper.untag("v1")
        subjects += [subject, signature]
    await keeper.lock(subjects[5], "delete_enabled")
    assert await keeper.sweep() == 1
    assert await keeper.left() == set(subjects[2:])


async def test_many_at_once_in_several_batches(keeper: Keeper) -> None:
    for number in range(450):
        await keeper.put("latest", make_document(number))
    await keeper.rooms.push_blob(b"config")
    assert await keeper.sweep() == 449
    assert len(await keeper.left()) == 1


def make_document(number: int) -> dict[str, Any]:
    """A list of nothing: it needs no blobs."""
    return {
        "schemaVersion": 2,
        "mediaType": media_types.DOCKER_LIST,
        "manifests": [],
        "annotations": {"number": str(number)},
    }
