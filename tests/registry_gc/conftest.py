"""The store stamps files with the host's time, so the told time begins there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from darsena.db import Database
from darsena.storage import Keyring, LocalStorage, RootKeyFile
from darsena.testing import FakeClock

from .world import OTHER_UID, UID, World, make_world


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time.time_ns() // 1000)


@pytest.fixture
async def world(db: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[World]:
    data = tmp_path / "data"
    keyring = Keyring(RootKeyFile.create(data / "keys" / "root.key"), db.read_sync)
    for uid in (UID, OTHER_UID):
        db.transact_sync(keyring.create, uid)
    storage = LocalStorage(data, keyring)
    yield make_world(db, clock, storage, keyring)
    await storage.close()
