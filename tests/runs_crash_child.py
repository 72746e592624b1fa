"""A server process that takes one run through its life; a failpoint may end it with SIGKILL on the way.

python runs_crash_child.py FOLDER cancel|run
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from darsena.db import Database
from darsena.journal import append
from darsena.storage import LocalStorage
from darsena.testing import FakeClock
from runs_world import AGENT, World, make_world


def open_world(folder: Path, clock: FakeClock) -> World:
    db = Database(f"sqlite:///{folder / 'darsena.db'}", clock=clock, before_commit=append, check_journal=True)
    return make_world(db, clock, folder, lambda keyring: LocalStorage(folder / "data", keyring))


async def live(folder: Path, what: str) -> None:
    world = open_world(folder, FakeClock())
    run = await world.schedule()
    print(run.run_id, flush=True)
    if what == "cancel":
        await world.tasks.runs.cancel(run.registry_uid, run.run_id)
        return
    await world.hello()
    order = await world.claim()
    await world.tasks.agents.beat(order.run_uid, AGENT, order.fence)
    await world.tasks.agents.append_log(order.run_uid, AGENT, order.fence, 0, b"the line\r\n")
    print("logged", flush=True)
    await world.finish(order)
    print("finished", flush=True)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2]))
