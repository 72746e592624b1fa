"""`python -m faults.domain_rounds`: the domain at work in a child that is killed, again and again, on one folder.

This process only forks: it has imported everything and never starts a thread, so a round costs little more than its
work. Each child first checks what the one before it left, then works until SIGKILL: at a random failpoint, or at a
random moment; some work to their end and must leave nothing open. Prints the seed first and the counts last, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import logging
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import text

from darsena.core import failpoints
from darsena.db import Database, Tx
from darsena.journal import append
from darsena.storage import Keyring, LocalStorage, RootKeyFile
from darsena.testing import FakeClock
from faults.checking import check_history
from faults.ledger import Ledger, Shelf
from faults.work import REPOSITORIES, work
from oracles import check_nothing_left
from registry_gc.world import OTHER_UID, UID, World, make_world

_POINTS_AT_MOST = 180
_MOMENT_AT_MOST_S = 0.1
_ROUND_WITHIN_S = 60.0
_QUIET_EVERY = 50


@dataclass(frozen=True)
class Place:
    folder: Path
    url: str

    def open(self, clock: FakeClock | None = None) -> World:
        db = Database(self.url, clock=clock, before_commit=append, check_journal=True)
        db.transact_sync(_forget_the_dead)
        key = self.folder / "data" / "keys" / "root.key"
        keyring = Keyring(RootKeyFile.load(key) if key.exists() else RootKeyFile.create(key), db.read_sync)
        for uid in (UID, OTHER_UID):
            db.transact_sync(keyring.create, uid)
        storage = LocalStorage(self.folder / "data", keyring)
        return make_world(db, clock, storage, keyring)  # type: ignore[arg-type]


def _forget_the_dead(tx: Tx) -> None:
    """On PostgreSQL: what the killed one had sent is carried out or given up first, and its lease on gc has run out."""
    if tx.dialect == "sqlite":
        return
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    while tx.connection.execute(others).scalar_one():
        time.sleep(0.001)
        tx.connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    tx.connection.execute(text("UPDATE gc_run SET lease_until = 0 WHERE lease_until IS NOT NULL"))


async def close(world: World) -> None:
    await world.storage.close()
    world.db.close()


# --- a round, in the child --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    number: int
    seed: int
    at_point: int | None
    """SIGKILL at the failpoint that is reached as this one; None: not at a failpoint."""
    steps: int


async def play(place: Place, one: Round, say: int) -> None:
    opened = _descriptors()
    world, ledger = place.open(), Ledger.load(place.folder, REPOSITORIES)
    await check_history(world, ledger)
    os.write(say, b"checked\n")
    if one.at_point is not None:
        failpoints.watch(_kill_at(one.at_point, say))
    await work(world, ledger, random.Random(one.seed), one.steps)
    await check_history(world, ledger)
    ledger.close()
    await close(world)
    assert _descriptors() == opened, "descriptors stay open"
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith(("db-", "store-"))]
    assert ours == [], "threads stay"
    os.write(say, b"ended\n")


async def play_quiet(place: Place, say: int) -> None:
    """Long after, all that nothing needs is gone; uploads too, whose time is over."""
    clock = FakeClock(time.time_ns() // 1000)
    world, ledger = place.open(clock), Ledger.load(place.folder, REPOSITORIES)
    await check_history(world, ledger)
    await check_nothing_left(world)
    await check_history(world, forget_uploads(ledger))
    os.write(say, json.dumps(dict(ledger.counts)).encode() + b"\n")
    ledger.close()
    await close(world)


def forget_uploads(ledger: Ledger) -> Ledger:
    ledger.settle({name: Shelf(shelf.tags, shelf.manifests) for name, shelf in ledger.shelves.items()})
    return ledger


def _kill_at(number: int, say: int) -> failpoints.Watcher:
    count = itertools.count(1)

    def reached(name: str) -> None:
        if next(count) == number:
            os.write(say, f"killed at {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- the parent -------------------------------------------------------------------------------------------------------


def prepare_to_fork() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    gc.collect()
    gc.freeze()  # what is there now is shared by all children


def fork(play_one: object, *arguments: object) -> tuple[int, int]:
    """A child at work, and where it speaks."""
    listen, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(say)
        return pid, listen
    os.close(listen)
    code = 1
    try:
        asyncio.run(play_one(*arguments, say))  # type: ignore[operator]
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def hear(listen: int, *, until: bytes | None = None) -> bytes:
    """What the child says, to its end or to this line."""
    heard, deadline = b"", time.monotonic() + _ROUND_WITHIN_S
    while until is None or until not in heard:
        ready, _, _ = select.select([listen], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"a child says nothing for {_ROUND_WITHIN_S:.0f} s; it said {heard!r}"
        more = os.read(listen, 65536)
        if not more:
            break
        heard += more
    return heard


def play_round(place: Place, number: int, chance: random.Random, counts: Counter[str]) -> None:
    kind = chance.choices(["failpoint", "moment", "end"], [6, 3, 1])[0]
    at_point = chance.randint(1, _POINTS_AT_MOST) if kind == "failpoint" else None
    steps = 4 if kind == "end" else 1000
    pid, listen = fork(play, place, Round(number, chance.randrange(1 << 30), at_point, steps))
    heard = hear(listen, until=b"checked\n")
    if kind == "moment" and heard:
        time.sleep(chance.uniform(0, _MOMENT_AT_MOST_S))
        os.kill(pid, signal.SIGKILL)
    heard += hear(listen)
    os.close(listen)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code == (0 if kind == "end" else -signal.SIGKILL), f"round {number} ({kind}) ended with {code}"
    counts[f"rounds: {kind}"] += 1
    if kind == "failpoint":
        counts[heard.decode().splitlines()[-1]] += 1


def play_all(place: Place, seed: int, rounds: int, seconds: float) -> Counter[str]:
    chance, counts = random.Random(seed), Counter[str]()
    begun = time.monotonic()
    for number in itertools.count():
        if number >= rounds and time.monotonic() - begun >= seconds:
            return counts + settle_down(place)
        play_round(place, number, chance, counts)
        if number % _QUIET_EVERY == _QUIET_EVERY - 1:
            settle_down(place)
    raise AssertionError("unreachable")


def settle_down(place: Place) -> Counter[str]:
    pid, listen = fork(play_quiet, place)
    heard = hear(listen)
    os.close(listen)
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the check of the quiet folder failed"
    return Counter(json.loads(heard))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    prepare_to_fork()
    begun = time.monotonic()
    counts = play_all(Place(chosen.folder, chosen.url), seed, chosen.rounds, chosen.seconds)
    took_s = round(time.monotonic() - begun, 1)
    print(json.dumps({"seed": seed, "took_s": took_s, **dict(sorted(counts.items()))}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
