"""Between every two steps of upload, mount, manifest PUT, tag move, delete and gc there is a point to die at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from darsena.core import failpoints
from darsena.testing import FakeClock
from faults import scenario
from faults.domain_rounds import Place, close
from oracles import Facts, check_nothing_left, check_world

TESTS = Path(__file__).parents[1]
AT_ONCE = 2
STEPS = {"begin", "upload", "put", "commit", "push", "cancel", "expire", "mount", "manifest", "tag", "delete", "gc"}
STEPS |= {"remove", "sweep", "file", "log", "transaction"}


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
    command = [sys.executable, "-m", "faults.every_point", "--folder", str(tmp_path), "--template", sqlite_template]
    started = [
        subprocess.Popen(
            [*command, *points[number::AT_ONCE]],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(AT_ONCE)
    ]
    found: dict[str, str] = {}
    for process in started:
        with process:
            out, _ = process.communicate(timeout=850)
        assert process.returncode == 0, out
        last = json.loads(out.splitlines()[-1])
        assert set(last.values()) == {"whole"}, out
        found |= last
    assert sorted(found) == points
