"""A server's rooms on one folder: what a crash in the middle of the first start leaves, and what is a loss."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from darsena.core.errors import StartFailure
from darsena.db import Database, dialects
from darsena.db.migrate import create as create_schema
from darsena.local.folder import Folder
from darsena.local.prepare import prepare
from darsena.local.rooms import Rooms, open_rooms
from darsena.registry.store import totals
from darsena.storage.layout import Layout


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


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_nonsense(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


LOSSES: list[Callable[[Path], None]] = [remove, empty, fill_with_nonsense, cut, put_a_folder, damage]


@pytest.mark.parametrize("lose", LOSSES)
async def test_a_lost_database_is_never_begun_anew(folder: Folder, lose: Callable[[Path], None]) -> None:
    """An empty registry in the place of a full one would hide the loss."""
    await start(folder)
    copy = folder.database.read_bytes()
    lose(folder.database)
    with pytest.raises(StartFailure, match="backup"):
        open_rooms(folder.root, {})
    if folder.database.is_dir():
        folder.database.rmdir()
    for extra in folder.database.parent.glob("darsena.db-*"):
        extra.unlink()
    folder.database.write_bytes(copy)
    await start(folder)


async def test_a_database_that_another_program_holds_is_said(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    await start(folder)
    monkeypatch.setattr(dialects, "SQLITE_PRAGMAS", (*dialects.SQLITE_PRAGMAS, "PRAGMA busy_timeout=1"))
    with contextlib.closing(sqlite3.connect(folder.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StartFailure, match="holds the database"):
            open_rooms(folder.root, {})
    await start(folder)


async def test_an_unmounted_disk_is_not_taken_for_an_empty_store(folder: Folder) -> None:
    await start(folder)
    uid = "a" * 32
    database = Database(f"sqlite:///{folder.database}")
    database.transact_sync(totals.change, uid, 1000)
    database.close()
    registries = Layout(folder.root).registries
    aside = registries.rename(registries.with_name("aside"))
    for _ in range(2):
        with pytest.raises(StartFailure, match="mount its disk"):
            open_rooms(folder.root, {})
        registries.mkdir(exist_ok=True)
    assert list(registries.iterdir()) == []
    (registries / uid).mkdir()  # whoever means to go on without
    await start(folder)
    shutil.rmtree(registries)
    aside.rename(registries)
    await start(folder)
