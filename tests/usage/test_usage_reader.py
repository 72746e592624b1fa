"""The usage reader: follows the journal, never counts twice, and finds its way when the journal was trimmed."""

from __future__ import annotations

import asyncio

import pytest

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.db import Tx
from darsena.journal import registry_stream
from darsena.journal.trimming import trim_all
from darsena.registry.events import BlobAdded, BlobRemoved, RepositoryCreated
from darsena.registry.store import blobs, repositories
from darsena.resources.model import RegistryRow
from darsena.tasks.retention import PURGE_REGISTRY
from darsena.usage import Totals, UsageReader, count_size, find_totals
from jobs.rows import find_job
from runs_world import SUBSCRIPTION, World


@pytest.fixture
def reader(world: World) -> UsageReader:
    return UsageReader(world.db, lambda tx, uid: world.resources.find_registry_by_uid(tx, uid) is not None)


def add_blob(world: World, row: RegistryRow, content: bytes) -> None:
    def write(tx: Tx) -> None:
        digest = Digest.of(content)
        blobs.add(tx, row.uid, digest, len(content))
        tx.emit(registry_stream(row.uid, row.location), BlobAdded(digest=str(digest), size=len(content)))

    world.db.transact_sync(write)


def add_repository(world: World, row: RegistryRow, name: str) -> None:
    def write(tx: Tx) -> None:
        repositories.insert_new(tx, row.uid, RepositoryName.parse(name))
        tx.emit(registry_stream(row.uid, row.location), RepositoryCreated(repository=name))

    world.db.transact_sync(write)


def totals(world: World, row: RegistryRow) -> Totals:
    return world.db.read_sync(find_totals, row.uid)


async def test_totals_follow_the_journal(world: World, reader: UsageReader) -> None:
    row, other = await world.registry(), await world.registry("reg20")
    assert totals(world, row) == Totals()
    add_repository(world, row, "app")
    add_blob(world, row, b"x" * 100)
    add_blob(world, row, b"y" * 50)
    add_blob(world, other, b"z" * 7)
    await world.schedule()  # other events on the same stream
    assert await reader.catch_up() == 5
    assert totals(world, row) == Totals(size_bytes=150, blobs=2, repositories=1)
    assert world.db.read_sync(count_size, other.uid) == 7
    assert await reader.catch_up() == 0
    removed = BlobRemoved(digest=str(Digest.of(b"y" * 50)), size=50)
    world.db.transact_sync(lambda tx: tx.emit(registry_stream(row.uid, row.location), removed))
    await reader.catch_up()
    assert totals(world, row) == Totals(size_bytes=100, blobs=1, repositories=1)


async def test_two_readers_at_once_count_nothing_twice(world: World, reader: UsageReader) -> None:
    row = await world.registry()
    for index in range(30):
        add_blob(world, row, bytes([index]))
    await asyncio.gather(*(reader.catch_up() for _ in range(4)))
    assert totals(world, row) == Totals(size_bytes=30, blobs=30)


async def test_behind_the_floor_it_counts_anew_and_goes_on(world: World, reader: UsageReader) -> None:
    row = await world.registry()
    add_blob(world, row, b"x" * 10)
    await reader.catch_up()
    for index in range(3):
        add_blob(world, row, bytes(20 + index))
    world.pass_time(40 * 24 * 3600)
    await trim_all(world.db)
    add_blob(world, row, b"z" * 1000)
    await reader.catch_up()
    assert totals(world, row) == Totals(size_bytes=10 + 20 + 21 + 22 + 1000, blobs=5)
    add_blob(world, row, b"w")
    await reader.catch_up()
    assert totals(world, row).blobs == 6


async def test_a_deleted_registry_leaves_nothing(world: World, reader: UsageReader) -> None:
    row = await world.registry()
    add_blob(world, row, b"x" * 10)
    await reader.catch_up()
    add_blob(world, row, b"y")
    world.db.transact_sync(reader.forget_registry, row.uid)
    await world.resources.delete_registry(SUBSCRIPTION, "rg1", "reg10")
    await reader.catch_up()
    assert totals(world, row) == Totals()


async def test_the_bytes_of_a_deleted_registry_are_dropped_by_a_job(world: World) -> None:
    row = await world.registry()
    await world.storage.logs.append(row.uid, "log", 0, b"x")
    await world.resources.delete_registry(SUBSCRIPTION, "rg1", "reg10")
    assert world.db.read_sync(find_job, PURGE_REGISTRY, row.uid) is not None
    assert await world.run_jobs() == 1
    assert await world.storage.logs.size(row.uid, "log") is None
