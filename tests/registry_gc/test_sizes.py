"""The three sizes add up to what is stored, and a deleted repository frees what was said."""

from __future__ import annotations

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.registry.store import totals

from .world import CONFIG, REGISTRY, UID, World

LAYERS = {"common": b"c" * 3_000_000, "web": b"w" * 70_000, "api": b"a" * 11, "tool": b"t" * 1_048_576}


async def stored_bytes(world: World) -> dict[Digest, int]:
    """What the files of the store hold, read."""
    return {digest: len(await world.read(digest)) for digest in await world.stored()}


async def check(world: World) -> int:
    """Everything adds up, in the store too; what it is together."""
    registry = await world.maintenance.measure_registry(REGISTRY)
    page = await world.maintenance.list_sizes(REGISTRY, last="", limit=100)
    files = await stored_bytes(world)
    assert registry.stored == sum(files.values()) == world.db.read_sync(totals.find, UID)
    assert registry.blobs == len(files)
    assert registry.stored == registry.single + registry.shared + registry.unlinked
    assert registry.single == sum(size.freed for size in page.items)
    assert all(size.own == size.shared + size.freed for size in page.items)
    return registry.stored


async def test_own_shared_freed(world: World) -> None:
    for name in ("web", "api"):
        await world.image(f"shop/{name}", "v1", LAYERS["common"], LAYERS[name])
    await world.image("tool", "v1", LAYERS["tool"])
    total = await check(world)
    assert total == len(CONFIG) + sum(map(len, LAYERS.values()))
    page = await world.maintenance.list_sizes(REGISTRY, last="", limit=100)
    assert {size.name: (size.shared, size.freed) for size in page.items} == {
        "shop/api": (3_000_000 + len(CONFIG), 11),
        "shop/web": (3_000_000 + len(CONFIG), 70_000),
        "tool": (len(CONFIG), 1_048_576),
    }
    for size in page.items:
        one = await world.maintenance.measure_repository(REGISTRY, RepositoryName(size.name))
        assert one == size


async def test_what_a_deletion_frees(world: World) -> None:
    for name in ("web", "api"):
        await world.image(f"shop/{name}", "v1", LAYERS["common"], LAYERS[name])
    for name in ("shop/web", "shop/api"):
        before = await check(world)
        said = (await world.maintenance.measure_repository(REGISTRY, RepositoryName(name))).freed
        await world.service.deleting.delete_repository(REGISTRY, RepositoryName(name))
        assert await check(world) == before  # until gc
        await world.collect()
        assert await check(world) == before - said
    assert await stored_bytes(world) == {}
