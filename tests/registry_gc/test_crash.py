"""kill -9 between every two steps of gc: only garbage is left, and the next run takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.failpoints import VARIABLE
from darsena.db import Database
from darsena.journal import append
from darsena.storage import Keyring, LocalStorage, RootKeyFile
from darsena.testing import FakeClock

from .world import CONFIG, World, make_world

POINTS = [
    "gc.after_mark",
    "gc.after_rows",
    "gc.after_bytes",
    "gc.after_abort",
    "remove.before_rename",
    "remove.after_rename",
    "remove.after_unlink",
    "push.after_blob_commit",
    "push.after_blob_link",
    "never",
]

CHILD = """
import asyncio, sys
from pathlib import Path
from registry_gc.test_crash import work
asyncio.run(work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


async def work(data: Path, url: str, now_us: int) -> None:
    """Collect what is there, while the same blobs are pushed again; says what has been acknowledged."""
    clock = FakeClock(now_us)
    db = Database(url, clock=clock, before_commit=append)
    keyring = Keyring(RootKeyFile.load(data / "keys" / "root.key"), db.read_sync)
    storage = LocalStorage(data, keyring)
    world = make_world(db, clock, storage, keyring)
    await world.gc.start(grace_s=0)
    await world.gc.run_due()
    digest = await world.image("shop/web", "again", b"garbage 1", b"garbage 2")
    os.write(1, f"{digest}\n".encode())
    await storage.close()
    db.close()


@pytest.mark.parametrize("point", POINTS)
async def test_killed(world: World, tmp_path: Path, point: str) -> None:
    await world.image("shop/web", "kept", b"kept")
    for number in range(4):
        await world.blob("shop/web", b"garbage %d" % number)
    await world.storage.uploads.begin("a" * 32, "0" * 32)
    world.damage("INSERT INTO upload VALUES (:uid, :registry, 'shop/web', 'user:1', 0, 1)",
                 uid="0" * 32, registry="a" * 32)  # fmt: skip
    world.clock.advance(120)
    done = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", CHILD, str(tmp_path / "data"), world.db.url, str(world.clock.now_us())],
        env={**os.environ, VARIABLE: point, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == (0 if point == "never" else -signal.SIGKILL)
    acknowledged = any(line.startswith(b"sha256:") for line in done.stdout.splitlines())
    assert acknowledged == (point == "never")
    assert [finding for finding in await world.findings() if finding.severity != "garbage"] == []
    assert await world.read(Digest.of(b"kept")) == b"kept"
    world.clock.advance(8 * 86_400)
    for _ in range(3):
        await world.run_gc()
        world.clock.advance(7200)
    assert await world.findings() == []
    kept = {Digest.of(CONFIG), Digest.of(b"kept")}
    again = {Digest.of(b"garbage 1"), Digest.of(b"garbage 2")} if acknowledged else set[Digest]()
    assert await world.stored() == kept | again
    assert list((tmp_path / "data").rglob(".tmp-*")) == []
