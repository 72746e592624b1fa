"""A database whose files are taken away while it is open: nothing is called durable that nobody would find again."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from darsena.core.errors import Unavailable
from darsena.db import Database, Tx

from .rows import names, put


def names_in(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT reader FROM cursor ORDER BY reader")]


def move(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


async def test_no_file_is_made_in_the_place_of_one_that_was_moved(sqlite: Database, path: Path) -> None:
    move(path, "aside")
    with pytest.raises(Unavailable):
        await sqlite.read(names)
    with pytest.raises(Unavailable):
        await sqlite.transact(put, "a")
    assert [entry.name for entry in path.parent.glob("*")] == ["aside"]


@pytest.mark.parametrize("instead", ["nothing", "another"])
async def test_a_database_that_was_moved_takes_nothing(sqlite: Database, path: Path, instead: str) -> None:
    await sqlite.transact(put, "a")
    assert await sqlite.read(names) == ["a"]
    aside = move(path, "aside")
    if instead == "another":
        shutil.copy(aside, path)
    for _ in range(2):
        with pytest.raises(Unavailable, match="nothing was changed"):
            await sqlite.transact(put, "b")
    assert await sqlite.read(names) == ["a"]  # reads go on
    move(aside, path.name)
    await sqlite.transact(put, "c")
    assert await sqlite.read(names) == ["a", "c"]


async def test_a_database_that_is_moved_in_the_middle(sqlite: Database, path: Path) -> None:
    def put_and_move(tx: Tx) -> None:
        put(tx, "b")
        move(path, "aside")

    await sqlite.transact(put, "a")
    assert await sqlite.read(names) == ["a"]
    with pytest.raises(Unavailable, match="ask what became of it"):
        await sqlite.transact(put_and_move)
    move(path.with_name("aside"), path.name)
    assert await sqlite.read(names) == ["a", "b"]


@pytest.mark.parametrize("how", ["removed", "moved", "removed, and another made"])
async def test_a_log_that_was_taken_away_is_saved_first(sqlite: Database, path: Path, how: str, tmp_path: Path) -> None:
    told: list[list[str]] = []

    def look() -> None:
        found = shutil.copy(path, tmp_path / "found.db")  # as whoever starts next will find it
        told.append(names_in(Path(found)))

    sqlite.on_log_lost = look
    await sqlite.transact(put, "a")
    assert told == []
    log = path.with_name("darsena.db-wal")
    if how == "moved":
        move(log, "aside")
    else:
        log.unlink()
    if how == "removed, and another made":
        log.write_bytes(b"")
    await sqlite.transact(put, "b")
    assert told == [["a", "b"]]


async def test_a_log_that_is_taken_away_before_anything_is_written(path: Path, tmp_path: Path) -> None:
    told: list[str] = []
    db = Database(f"sqlite:///{path}")
    db.on_log_lost = lambda: told.append("lost")
    assert await db.read(names) == []
    path.with_name("darsena.db-wal").unlink()
    await db.transact(put, "a")
    assert told == ["lost"]
    db.close()


async def test_a_log_that_cannot_be_saved_is_no_success(
    sqlite: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sqlite.transact(put, "a")
    path.with_name("darsena.db-wal").unlink()
    monkeypatch.setattr(sqlite._writing, "save_log", lambda: False)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Unavailable, match="ask what became of it"):
        await sqlite.transact(put, "b")


async def test_a_log_that_the_database_makes_anew_is_no_loss(sqlite: Database, path: Path) -> None:
    """SQLite removes it with the last connection."""
    told: list[str] = []
    sqlite.on_log_lost = lambda: told.append("lost")
    await sqlite.transact(put, "a")
    sqlite._writing.close()  # pyright: ignore[reportPrivateUsage]
    sqlite.engine.dispose()
    sqlite.reading.dispose()
    await sqlite.transact(put, "b")
    assert told == []
    assert names_in(path) == ["a", "b"]
