"""kill -9 between every two steps of push, tag move and delete: what was answered stays, the rest can be done again.

The oracles (promises R1, R2): every manifest that is served has all its blobs, every blob's row has its bytes, every
fact that was acknowledged is there, and the same work, done again, succeeds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.failpoints import VARIABLE
from darsena.db import Database, Tx
from darsena.journal import list_entries
from darsena.registry.store import blobs, manifests, repositories, tags

from .conftest import APP, REGISTRY, UID, Rooms, open_rooms

POINTS = [
    "begin.before_header",
    "upload.before_sync",
    "upload.after_sync",
    "commit.before_rename",
    "commit.after_rename",
    "commit.after_sync",
    "push.after_blob_commit",
    "push.after_blob_link",
    "manifest.before_transaction",
    "manifest.after_transaction",
    "delete.after_manifest",
    "never",
]
FIRST = (b"config", b"one" * 500_000)
SECOND = (b"config", b"two")


async def work(rooms: Rooms) -> None:
    """Push, move the tag, delete what it named before; says on standard output what has been acknowledged."""

    def acknowledge(fact: str) -> None:
        os.write(1, f"{fact}\n".encode())

    first = await rooms.push_image("latest", *FIRST)
    acknowledge("first")
    await rooms.push_image("latest", *SECOND)
    acknowledge("moved")
    await rooms.service.deleting.delete_manifest(REGISTRY, APP, first)
    acknowledge("deleted")


CHILD = """
import asyncio, sys
from pathlib import Path
from darsena.db import Database
from darsena.journal import append
from tests.registry.conftest import open_rooms
from tests.registry.test_crash import work

asyncio.run(work(open_rooms(Database(sys.argv[1], before_commit=append), Path(sys.argv[2]))))
"""


def run_child(db: Database, data: Path, point: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, db.url, str(data)],
        env={**os.environ, VARIABLE: point},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return done.returncode, set(done.stdout.decode().splitlines())


@pytest.mark.parametrize("point", POINTS)
async def test_killed(db: Database, tmp_path: Path, point: str) -> None:
    await open_rooms(db, tmp_path / "data").storage.close()
    code, acknowledged = run_child(db, tmp_path / "data", point)
    assert code == (0 if point == "never" else -signal.SIGKILL)
    rooms = open_rooms(db, tmp_path / "data")
    check_acknowledged(rooms, acknowledged)
    await check_whole(rooms)
    await rooms.push_image("latest", *FIRST)
    digest = await rooms.push_image("latest", *SECOND)
    await check_whole(rooms)
    assert (await rooms.service.manifests.get(REGISTRY, APP, digest)).digest == digest
    moves = [entry for entry in db.read_sync(list_entries, REGISTRY.stream, after=0) if entry.kind == "tag.moved"]
    assert moves[-1].decode()["digest"] == str(digest)
    await rooms.storage.close()


def check_acknowledged(rooms: Rooms, acknowledged: set[str]) -> None:
    def read(tx: Tx) -> None:
        found = repositories.find(tx, UID, APP)
        if "first" in acknowledged:
            assert found is not None
            assert tags.find(tx, found.id, "latest") is not None
            count = len(manifests.list_brief(tx, found.id))
            assert count in ((1,) if "deleted" in acknowledged else (1, 2))
        if "moved" in acknowledged:
            assert found is not None
            tag = tags.find(tx, found.id, "latest")
            assert tag is not None
            assert tag.updated_us > tag.created_us

    rooms.db.read_sync(read)


async def check_whole(rooms: Rooms) -> None:
    """R2, and: a row without bytes is impossible."""
    for digest in rooms.db.read_sync(list_served):
        content = await rooms.storage.blobs.read_whole(UID, digest, 1 << 30)
        assert Digest.of(content) == digest


def list_served(tx: Tx) -> list[Digest]:
    """Every blob that a repository may serve; each manifest's are among them."""
    found = repositories.find(tx, UID, APP)
    if found is None:
        return []
    linked = [Digest.of(content) for content in {*FIRST, *SECOND}]
    linked = [digest for digest in linked if blobs.find_linked_size(tx, UID, found.id, digest) is not None]
    listed = [digest for digest, *_ in manifests.list_brief(tx, found.id)]
    for digest in listed:
        needed = next(parts for parts in (FIRST, SECOND) if str(image_digest(parts)) == digest)
        assert {Digest.of(part) for part in needed} <= set(linked)
    for _, digest in tags.list_brief(tx, found.id):
        assert digest in listed
    return linked


def image_digest(contents: tuple[bytes, ...]) -> Digest:
    import msgspec

    from .conftest import make_image

    return Digest.of(msgspec.json.encode(make_image(*contents)))
