"""`python -m faults.every_point`: a process that only forks; SIGKILL at each failpoint in turn, and what is left then.

For each point: a fresh folder; the scenario, killed where it reaches the point first; then the oracles, the same
scenario to its end, and the oracles again. Prints what each point led to, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from darsena.core import failpoints
from darsena.testing import FakeClock
from faults import scenario
from faults.domain_rounds import Place, close, fork, hear, prepare_to_fork
from oracles import LONG_S, Facts, check_nothing_left, check_world
from registry_gc.world import UID, World


async def play(place: Place, point: str, say: int) -> None:
    world = open_world(place, later_s=0)

    def reached(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.watch(reached)
    await scenario.work(world)
    os.write(say, b"ended\n")


async def look(place: Place, say: int) -> None:
    world, told = open_world(place, later_s=20 * LONG_S), Facts()
    await check_world(world, told)
    await scenario.work(world)
    await check_world(world, told)
    await drop_logs_and_sources(world)
    await check_nothing_left(world)
    await close(world)
    os.write(say, b"looked\n")


def open_world(place: Place, *, later_s: float) -> World:
    return place.open(FakeClock(time.time_ns() // 1000 + round(later_s * 1_000_000)))


async def drop_logs_and_sources(world: World) -> None:
    """Their rows are the runs', which have tests of their own."""
    await world.storage.logs.delete(UID, "run")
    await world.storage.sources.delete(UID, "source")


def kill_at(point: str, folder: Path, template: Path) -> str:
    place = Place(folder, f"sqlite:///{folder}/darsena.db")
    folder.mkdir()
    shutil.copy(template, folder / "darsena.db")
    pid, listen = fork(play, place, point)
    hear(listen)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(listen)
    if code != -signal.SIGKILL:
        return f"not reached, exit code {code}"
    pid, listen = fork(look, place)
    heard = hear(listen)
    os.waitpid(pid, 0)
    os.close(listen)
    shutil.rmtree(folder)
    return "whole" if heard == b"looked\n" else "broken"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("points", nargs="*")
    chosen = parser.parse_args()
    prepare_to_fork()
    found = {point: kill_at(point, chosen.folder / point, chosen.template) for point in chosen.points}
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
