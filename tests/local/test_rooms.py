"""A server's rooms on one folder: what a crash in the middle of the first start leaves, and what is a loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from darsena.core.errors import StartFailure
from darsena.db import Database
from darsena.db.migrate import create as create_schema
from darsena.local.folder import Folder
from darsena.local.prepare import prepare
from darsena.local.rooms import Rooms, open_rooms


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    prepare(tmp_path / "data", listen="127.0.0.1:8443", domain="")
    return Folder(tmp_path / "data")


async def start(folder: Folder) -> None:
    rooms: Rooms = open_rooms(folder.root, {})
    await rooms.storage.close()
    rooms.db.close()


async def test_a_first_start_that_broke_off_before_the_root_key_goes_on(folder: Folder) -> None:
    database = Database(f"sqlite:///{folder.database}")
    assert create_schema(database.engine)
    database.close()
    await start(folder)
    await start(folder)


async def test_a_root_key_that_was_used_is_never_made_anew(folder: Folder) -> None:
    await start(folder)
    (folder.keys / "root.key").unlink()
    with pytest.raises(StartFailure, match="is missing"):
        open_rooms(folder.root, {})
    assert not (folder.keys / "root.key").exists()
