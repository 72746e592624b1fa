"""The oracle itself: it finds a lost blob, and takes nothing for lost that a client or gc was free to take away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.testing import FakeClock
from faults.checking import check_history
from faults.domain_rounds import Place
from faults.ledger import Ledger
from faults.work import GRACE_S
from registry_gc.world import REGISTRY, World

SHOP = "shop/a"
CONTENT = b"a layer"
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def place(tmp_path: Path, sqlite_template: Path) -> Place:
    (tmp_path / "darsena.db").write_bytes(sqlite_template.read_bytes())
    return Place(tmp_path, f"sqlite:///{tmp_path}/darsena.db")


@pytest.fixture
def world(place: Place) -> Iterator[World]:
    world = place.open(FakeClock(time.time_ns() // 1000))
    yield world
    world.db.close()


@pytest.fixture
async def ledger(place: Place, world: World) -> Ledger:
    """Of a client that has pushed a blob."""
    ledger = Ledger.load(place.folder, [SHOP])
    ledger.intend(SHOP, {"do": "blob", "digest": str(DIGEST)})
    await world.blob(SHOP, CONTENT)
    ledger.acknowledge(SHOP)
    return ledger


def after_the_crash(ledger: Ledger) -> Ledger:
    ledger.close()
    return Ledger.load(ledger.folder, [SHOP])


async def unlink(world: World) -> None:
    await world.service.deleting.delete_blob(REGISTRY, RepositoryName(SHOP), DIGEST)


async def test_a_lost_blob_is_found(world: World, ledger: Ledger) -> None:
    await unlink(world)  # nobody has asked for it
    with pytest.raises(AssertionError, match=DIGEST.hex):
        await check_history(world, after_the_crash(ledger))


@pytest.mark.parametrize("done", [True, False])
async def test_an_unlink_in_doubt(world: World, ledger: Ledger, done: bool) -> None:
    ledger.intend(SHOP, {"do": "unlink", "digest": str(DIGEST)})
    if done:
        await unlink(world)
    ledger = after_the_crash(ledger)
    await check_history(world, ledger)
    assert list(ledger.shelves[SHOP].blobs) == ([] if done else [str(DIGEST)])
    ledger.close()


async def test_what_gc_took_after_its_grace(world: World, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        world.clock.advance(GRACE_S + 0.1)
        await world.run_gc(GRACE_S)
    assert await world.stored() == set()
    later = time.time() + 2 * GRACE_S
    monkeypatch.setattr(time, "time", lambda: later)
    ledger = after_the_crash(ledger)  # long after the acknowledgement
    await check_history(world, ledger)
    ledger.close()
