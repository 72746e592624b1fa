"""Between every two steps of upload, mount, manifest PUT, tag move, delete and gc there is a point to die at."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from darsena.core import failpoints
from darsena.testing import FakeClock
from faults import scenario
from faults.children import run_together
from faults.domain_rounds import Place, close
from oracles import Facts, check_nothing_left, check_world

AT_ONCE = 2
STEPS = {"begin", "upload", "put", "commit", "push", "cancel", "expire", "mount", "manifest", "tag", "delete", "gc"} | {
    "remove", "sweep", "file", "log", "transaction",
}  # fmt: skip


async def test_all_are_reached(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copy(sqlite_template, tmp_path / "darsena.db")
    world = Place(tmp_path, f"sqlite:///{tmp_path}/darsena.db").open(FakeClock(time.time_ns() // 1000))
    reached: set[str] = set()
    failpoints.watch(reached.add)
    try:
        await scenario.work(world)
    finally:
        failpoints.watch(None)
    points = set(scenario.list_points())
    assert points - reached == set()
    assert reached - points == set()
    assert {point.partition(".")[0] for point in points} == STEPS
    await check_world(world, Facts())
    await check_nothing_left(world)
    await close(world)


def test_killed_at_every_one(tmp_path: Path, sqlite_template: Path) -> None:
    points = scenario.list_points()
    command = ["faults.every_point", "--folder", str(tmp_path), "--template", str(sqlite_template)]
    found: dict[str, str] = {}
    for results in run_together([[*command, *points[number::AT_ONCE]] for number in range(AT_ONCE)]):
        assert set(results.values()) == {"whole"}
        found |= results
    assert sorted(found) == points
