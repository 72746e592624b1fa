"""A store with two registries in it: in local files for the tests of the bytes on disk, each port's fake beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from darsena.db import Database
from darsena.storage import Keyring, LocalStorage, RootKeyFile, Storage
from darsena.storage.tables import data_key
from darsena.testing import FakeClock
from darsena.testing.memory_storage import MemoryStorage

REGISTRY = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


@pytest.fixture
def sqlite_db(tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/keys.db", clock=clock)
    data_key.create(database.engine)
    yield database
    database.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def keyring(sqlite_db: Database, data: Path) -> Keyring:
    ring = Keyring(RootKeyFile.create(data / "keys" / "root.key"), sqlite_db.read_sync)
    for owner in (REGISTRY, OTHER):
        sqlite_db.transact_sync(ring.create, owner)
    return ring


@pytest.fixture
async def local(data: Path, keyring: Keyring) -> AsyncIterator[LocalStorage]:
    storage = LocalStorage(data, keyring)
    yield storage
    await storage.close()


@pytest.fixture(params=["local", "memory"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    local = LocalStorage(request.getfixturevalue("data"), request.getfixturevalue("keyring"))
    yield local
    await local.close()
