"""kill -9 between every two steps: nothing half-written is visible, nothing acknowledged is lost, all can go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import UploadUnknown
from darsena.core.failpoints import VARIABLE
from darsena.db import Database
from darsena.storage import Keyring, LocalStorage, RootKeyFile

from .conftest import REGISTRY
from .feeding import SEGMENT, chunks, collect, content

FIRST, SECOND = content(SEGMENT + 700, "first"), content(SEGMENT + 900, "second")
WHOLE, SINGLE, SOURCE = FIRST + SECOND, content(2 * SEGMENT + 5, "single"), content(SEGMENT + 1, "source")
DELETED = b"deleted"
LINES = [b"one\r\n", b"two\r\n", b"three\r\n"]
NAME = "source/1.tar.gz"

POINTS = [
    "begin.before_header",
    "upload.after_segment",
    "upload.before_sync",
    "upload.after_sync",
    "commit.before_sync",
    "commit.before_rename",
    "commit.after_rename",
    "commit.after_sync",
    "commit.before_remove",
    "file.before_sync",
    "file.before_rename",
    "file.after_rename",
    "delete.before_unlink",
    "delete.after_unlink",
    "delete.after_sync",
    "log.before_sync",
    "log.after_sync",
    "never",
]


async def work(storage: LocalStorage) -> None:
    """Every kind of write; says on standard output what has been acknowledged."""

    def acknowledge(fact: str) -> None:
        os.write(1, f"{fact}\n".encode())

    await storage.uploads.begin(REGISTRY, "single")
    await storage.uploads.append(REGISTRY, "single", 0, chunks(SINGLE), sync=False)
    await storage.uploads.commit(REGISTRY, "single", Digest.of(SINGLE))
    acknowledge("single")
    await storage.uploads.begin(REGISTRY, "parts")
    await storage.uploads.append(REGISTRY, "parts", 0, chunks(FIRST))
    acknowledge("first")
    await storage.uploads.append(REGISTRY, "parts", len(FIRST), chunks(SECOND))
    acknowledge("second")
    await storage.uploads.commit(REGISTRY, "parts", Digest.of(WHOLE))
    acknowledge("whole")
    await storage.sources.stage_block(REGISTRY, NAME, "a", chunks(SOURCE))
    await storage.sources.commit_blocks(REGISTRY, NAME, ["a"])
    acknowledge("source")
    size = 0
    for number, line in enumerate(LINES):
        size = await storage.logs.append(REGISTRY, "run", size, line)
        acknowledge(f"line {number}")
    await storage.uploads.begin(REGISTRY, "deleted")
    await storage.uploads.append(REGISTRY, "deleted", 0, chunks(DELETED))
    await storage.uploads.commit(REGISTRY, "deleted", Digest.of(DELETED))
    await storage.blobs.delete(REGISTRY, Digest.of(DELETED))
    acknowledge("deleted")


CHILD = """
import asyncio, sys
from pathlib import Path
from darsena.db import Database
from darsena.storage import Keyring, LocalStorage, RootKeyFile
from tests.storage.test_crash import work

data, url = Path(sys.argv[1]), sys.argv[2]
db = Database(url)
asyncio.run(work(LocalStorage(data, Keyring(RootKeyFile.load(data / "keys" / "root.key"), db.read_sync))))
"""


def run_child(data: Path, url: str, point: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(data), url],
        env={**os.environ, VARIABLE: point},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return done.returncode, set(done.stdout.decode().splitlines())


def hidden_names(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


async def blob_is_whole_or_absent(storage: LocalStorage, data: bytes, *, there: bool) -> bool:
    digest = Digest.of(data)
    size = await storage.blobs.stat(REGISTRY, digest)
    assert size is not None or not there
    if size is not None:
        assert await collect(storage.blobs.read(REGISTRY, digest)) == data
    return size is not None


@pytest.mark.parametrize("point", POINTS)
async def test_killed(data: Path, keyring: Keyring, sqlite_db: Database, point: str) -> None:
    code, acknowledged = run_child(data, sqlite_db.url, point)
    assert code == (0 if point == "never" else -signal.SIGKILL)
    assert ("deleted" in acknowledged) == (point == "never")
    storage = LocalStorage(data, Keyring(RootKeyFile.load(data / "keys" / "root.key"), sqlite_db.read_sync))
    await nothing_acknowledged_is_lost(storage, acknowledged)
    await everything_can_go_on(storage)
    await storage.sweep(REGISTRY, 1 << 60)
    await storage.close()
    assert hidden_names(data) == []


async def nothing_acknowledged_is_lost(storage: LocalStorage, acknowledged: set[str]) -> None:
    await blob_is_whole_or_absent(storage, SINGLE, there="single" in acknowledged)
    committed = await blob_is_whole_or_absent(storage, WHOLE, there="whole" in acknowledged)
    await blob_is_whole_or_absent(storage, DELETED, there=False)
    try:
        offset = await storage.uploads.offset(REGISTRY, "parts")
    except UploadUnknown:
        assert committed or "first" not in acknowledged
    else:
        assert offset >= len(FIRST) * ("first" in acknowledged) + len(SECOND) * ("second" in acknowledged)
    if await storage.sources.stat(REGISTRY, NAME) is None:
        assert "source" not in acknowledged
    else:
        assert await collect(storage.sources.read(REGISTRY, NAME)) == SOURCE
    log = b"".join(LINES)
    stored = b"" if await storage.logs.size(REGISTRY, "run") is None else await storage.logs.read(REGISTRY, "run")
    assert log.startswith(stored)
    assert len(stored) >= sum(len(line) for number, line in enumerate(LINES) if f"line {number}" in acknowledged)


async def everything_can_go_on(storage: LocalStorage) -> None:
    for upload, data in (("single", SINGLE), ("parts", WHOLE), ("deleted", DELETED)):
        try:
            offset = await storage.uploads.offset(REGISTRY, upload)
        except UploadUnknown:
            offset = 0
            await storage.uploads.begin(REGISTRY, upload)
        await storage.uploads.append(REGISTRY, upload, offset, chunks(data[offset:]))
        await storage.uploads.commit(REGISTRY, upload, Digest.of(data))
        await blob_is_whole_or_absent(storage, data, there=True)
    await storage.sources.stage_block(REGISTRY, NAME, "a", chunks(SOURCE))
    await storage.sources.commit_blocks(REGISTRY, NAME, ["a"])
    assert await collect(storage.sources.read(REGISTRY, NAME)) == SOURCE
    await storage.logs.append(REGISTRY, "run", 0, b"".join(LINES))
    assert await storage.logs.read(REGISTRY, "run") == b"".join(LINES)
    assert [upload async for upload in storage.uploads.list(REGISTRY)] == []
