"""gc while the k-th call fails, for all k: it takes nothing that is needed, and a later run takes the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import StorageFull, Unavailable
from darsena.db import Database
from darsena.journal import append
from darsena.testing import FakeClock
from faults.scenario import SHOP
from faults.test_every_call import FAILING
from oracles import LONG_S, Facts, check_nothing_left, check_world
from registry_gc import conftest as garbage
from registry_gc.world import CONFIG, PRINCIPAL, REGISTRY, UID, World

clock, world = garbage.clock, garbage.world
_A_DAY_S = 86_400
_CALLS_AT_MOST = 300


@pytest.fixture
def db(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    path = tmp_path / "darsena.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}", clock=clock, before_commit=append, check_journal=True)
    yield database
    database.close()


async def make_garbage(world: World) -> None:
    """The same each time, so that a run of gc makes as many calls as the one before: the store keeps empty folders."""
    for content in (b"garbage", b"more garbage"):
        await world.blob(SHOP, content)
    await world.service.uploading.begin(REGISTRY, SHOP, PRINCIPAL)
    await world.storage.uploads.begin(UID, "0" * 32)
    world.storage.layout.blobs(UID).joinpath(".tmp-left").write_bytes(b"by a crash")
    world.clock.advance(LONG_S)


async def collect_twice(world: World) -> None:
    """What gc is hit by, it notes as the run's failure, or raises: the loop that runs it tries again."""
    for _ in range(2):
        with suppress(StorageFull, Unavailable):
            await world.gc.start()
            await world.gc.run_due()
        world.clock.advance(_A_DAY_S)


@pytest.mark.parametrize("where", FAILING)
@pytest.mark.parametrize("kind", ["full", "broken"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
async def test_gc(world: World, where: str, kind: str, lasting: bool) -> None:
    await world.image(SHOP, "kept", b"kept")
    told = Facts()
    for at in range(1, _CALLS_AT_MOST):
        await make_garbage(world)
        with FAILING[where](kind, at, lasting=lasting) as fault:
            await collect_twice(world)
        await check_world(world, told)
        await collect_twice(world)
        assert await world.stored() == {Digest.of(CONFIG), Digest.of(b"kept")}
        if not fault.happened:
            assert at > 10
            break
    else:
        raise AssertionError("a run of gc never ends")
    await check_nothing_left(world)
