"""A power cut at any step of the commit protocol, the database's file included: promise R1 by replay.

The scenario runs once on a recorded disk. At steps that a seed chooses, and after each acknowledgement, what a disk may
hold then is laid out in a folder of its own and opened: it must be whole, and hold everything acknowledged before.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from darsena.core import failpoints
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.testing import FakeClock
from faults import scenario
from faults.domain_rounds import Place, close
from faults.power import Disk
from oracles import LONG_S, Facts, check_nothing_left, check_world
from registry_gc.world import REGISTRY, World

SEED = 20260
SHARE = {"dropped": 0.3, "torn": 0.3}
"""Of the steps: a cut and a look take some 50 ms."""


class Cuts:
    """Cuts the power, as it were, at failpoints and acknowledgements, and remembers what had been acknowledged."""

    def __init__(self, disk: Disk, folder: Path, kind: str) -> None:
        self._disk = disk
        self._folder = folder
        self._kind = kind
        self._chance = random.Random(SEED)
        self.made: list[tuple[Path, str, dict[str, str]]] = []
        self.acknowledged: dict[str, str] = {}
        self.is_on = True

    def at(self, point: str) -> None:
        if self.is_on and self._chance.random() < SHARE[self._kind]:
            self.cut(point)

    def cut(self, point: str) -> None:
        target = self._folder / f"{len(self.made)}"
        self._disk.cut(target, self._chance if self._kind == "torn" else None)
        self.made.append((target, point, dict(self.acknowledged)))


def open_place(folder: Path, later_s: float = 0) -> World:
    clock = FakeClock(time.time_ns() // 1000 + round(later_s * 1_000_000))
    return Place(folder, f"sqlite:///{folder}/darsena.db").open(clock)


async def push_and_move(world: World, cuts: Cuts) -> None:
    """Three images under two tags, a deletion; each acknowledgement is noted, and the power is cut right after it."""
    moves = [("v1", (scenario.LARGE,)), ("v2", (b"second",)), ("v1", (b"second", scenario.RAGGED)), ("v3", (b"3",))]
    for tag, layers in moves:
        digest = await world.image(scenario.SHOP, tag, *layers)
        cuts.acknowledged[tag] = str(digest)
        cuts.cut(f"acknowledged {tag}")
    await world.delete(scenario.SHOP, Digest.parse(cuts.acknowledged.pop("v3")))
    cuts.cut("acknowledged the deletion")


@pytest.mark.parametrize("kind", SHARE)
async def test_whole_protocol(tmp_path: Path, sqlite_template: Path, kind: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "darsena.db").write_bytes(sqlite_template.read_bytes())  # noqa: ASYNC240 (nothing else runs in this loop)
    world = open_place(root)
    await close(world)
    (tmp_path / "cuts").mkdir()
    disk = Disk(root)
    cuts = Cuts(disk, tmp_path / "cuts", kind)
    with disk.recording():
        failpoints.watch(cuts.at)
        try:
            world = open_place(root)
            await push_and_move(world, cuts)
            await scenario.work(world)
        finally:
            failpoints.watch(None)
        cuts.is_on = False
        await close(world)
    assert len(cuts.made) > 60
    for number, (folder, point, acknowledged) in enumerate(cuts.made):
        await look(folder, point, acknowledged, thoroughly=number % 10 == 0)
        shutil.rmtree(folder)


def test_a_new_file_is_not_taken_for_one_that_is_gone(tmp_path: Path) -> None:
    """Though a file system may give it the same number."""
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    disk = Disk(root)
    with disk.recording():
        write_synced(root / "first", b"first")
        sync(root)
        (root / "first").unlink()
        write_synced(root / "second", b"second")
        disk.cut(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"first": b"first"}


def write_synced(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync(path)


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


async def look(folder: Path, point: str, acknowledged: dict[str, str], *, thoroughly: bool) -> None:
    world = open_place(folder, 20 * LONG_S)
    try:
        rows = await check_world(world, Facts())
        tags = rows.tags.get(scenario.SHOP, {})
        for tag, digest in acknowledged.items():
            if tag in ("v2", "v3") or "acknowledged" in point:  # v1 is moved by others later on
                assert tags.get(tag) == digest
            served = await world.service.manifests.get(REGISTRY, RepositoryName(scenario.SHOP), Digest.parse(digest))
            assert Digest.of(served.content) == served.digest
        if thoroughly:
            await scenario.work(world)
            await world.storage.logs.delete(REGISTRY.uid, "run")
            await world.storage.sources.delete(REGISTRY.uid, "source")
            await check_nothing_left(world)
    except AssertionError as error:
        raise AssertionError(f"after a power cut at {point}, seed {SEED}: {error}") from error
    finally:
        await close(world)
