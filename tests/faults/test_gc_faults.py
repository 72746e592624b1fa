"""gc while the k-th call fails, for all k: it takes nothing that is needed, and a later run takes the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import StorageFull, Unavailable
from darsena.db import Database
from darsena.journal import append
from darsena.testing import FakeClock
from faults.test_every_call import FAILING
from oracles import Facts, check_nothing_left, check_world
from registry_gc import conftest as garbage
from registry_gc.world import UID, World

clock, world = garbage.clock, garbage.world
_A_DAY_S = 86_400


@pytest.fixture
def db(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    path = tmp_path / "darsena.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}", clock=clock, before_commit=append, check_journal=True)
    yield database
    database.close()


async def make_garbage(world: World, number: int) -> None:
    for part in range(2):
        await world.blob("shop/web", b"garbage %d %d" % (number, part))
    await world.storage.uploads.begin(UID, f"{number:032x}")
    world.clock.advance(_A_DAY_S)


async def collect_twice(world: World) -> None:
    """What gc is hit by, it notes as the run's failure, or raises: the loop that runs it tries again."""
    for _ in range(2):
        try:
            await world.gc.start()
            await world.gc.run_due()
        except (StorageFull, Unavailable):
            pass
        world.clock.advance(_A_DAY_S)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", FAILING)
@pytest.mark.parametrize("kind", ["full", "broken"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
async def test_gc(world: World, where: str, kind: str, lasting: bool) -> None:
    await world.image("shop/web", "kept", b"kept")
    told = Facts()
    for at in range(1, 1000):
        await make_garbage(world, at)
        with FAILING[where](kind, at, lasting=lasting) as fault:
            await collect_twice(world)
        await check_world(world, told)
        assert await world.read(Digest.of(b"kept")) == b"kept"
        if not fault.happened:
            assert at > 10
            break
    await check_nothing_left(world)
