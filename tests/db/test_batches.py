"""SQLite: use cases that wait together share a commit, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from darsena.db import Database, Tx, dialects
from darsena.db.batches import Busy

from .rows import names, put


def put_and_fail(tx: Tx, reader: str) -> None:
    put(tx, reader)
    raise RuntimeError(reader)


@contextmanager
def counted_commits(db: Database) -> Iterator[list[int]]:
    """From the first transaction on: the writer keeps its connection."""
    seen: list[int] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            seen.append(1)

    def listen(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(note)

    event.listen(db.engine, "connect", listen)
    yield seen
    event.remove(db.engine, "connect", listen)


async def busy(db: Database) -> tuple[asyncio.Future[None], threading.Event]:
    """The writer waits for the event: what comes meanwhile comes together."""
    begun, free = threading.Event(), threading.Event()

    def wait(_tx: Tx) -> None:
        begun.set()
        free.wait()

    holding = asyncio.ensure_future(db.transact(wait))
    await asyncio.to_thread(begun.wait)
    return holding, free


async def ask(db: Database, *works: tuple[object, str]) -> list[object]:
    holding, free = await busy(db)
    asked = [asyncio.ensure_future(db.transact(fn, name)) for fn, name in works]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    free.set()
    await holding
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_one_commit_for_all_that_wait(sqlite: Database) -> None:
    with counted_commits(sqlite) as commits:
        assert await ask(sqlite, *((put, name) for name in "abcd")) == ["a", "b", "c", "d"]
    assert len(commits) == 2  # the one that held the writer, and the four
    assert await sqlite.read(names) == ["a", "b", "c", "d"]


async def test_one_that_fails_takes_back_its_own_work_only(sqlite: Database) -> None:
    first, failed, last = await ask(sqlite, (put, "a"), (put_and_fail, "b"), (put, "c"))
    assert (first, last) == ("a", "c")
    assert isinstance(failed, RuntimeError)
    assert await sqlite.read(names) == ["a", "c"]


async def test_where_the_database_refuses_each_is_told_its_own_failure(sqlite: Database) -> None:
    await sqlite.transact(put, "b")
    first, refused, last = await ask(sqlite, (put, "a"), (put, "b"), (put, "c"))
    assert (first, last) == ("a", "c")
    assert isinstance(refused, IntegrityError)
    assert await sqlite.read(names) == ["a", "b", "c"]


async def test_what_follows_a_commit_follows_that_of_the_batch(sqlite: Database) -> None:
    seen: list[tuple[str, list[str]]] = []

    def work(tx: Tx, name: str) -> None:
        put(tx, name)
        tx.after_commit(lambda: seen.append((name, sqlite.read_sync(names))))

    def fail(tx: Tx, name: str) -> None:
        work(tx, name)
        raise RuntimeError(name)

    await ask(sqlite, (work, "a"), (fail, "b"), (work, "c"))
    assert seen == [("a", ["a", "c"]), ("c", ["a", "c"])]


async def test_the_writer_outlives_what_fails_after_a_commit(sqlite: Database) -> None:
    def work(tx: Tx, name: str) -> None:
        put(tx, name)
        tx.after_commit(lambda: {}["nothing"])

    failed, kept = await ask(sqlite, (work, "a"), (put, "b"))
    assert (isinstance(failed, KeyError), kept) == (True, "b")
    assert await sqlite.transact(put, "c") == "c"
    assert await sqlite.read(names) == ["a", "b", "c"]


async def test_closing_ends_what_was_asked_for(sqlite: Database) -> None:
    holding, free = await busy(sqlite)
    asked = [asyncio.ensure_future(sqlite.transact(put, name)) for name in "ab"]
    await asyncio.sleep(0)
    free.set()
    await asyncio.to_thread(sqlite.close)
    assert await asyncio.gather(holding, *asked) == [None, "a", "b"]
    with pytest.raises(RuntimeError):
        await sqlite.transact(put, "c")


async def test_who_waits_behind_another_program_does_not_wait_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "SQLITE_PRAGMAS", (*dialects.SQLITE_PRAGMAS, "PRAGMA busy_timeout=300"))
    monkeypatch.setattr(dialects, "BUSY_TIMEOUT_S", 0.0)
    tries: list[str] = []

    def write(tx: Tx, name: str) -> None:
        put(tx, name)
        tries.append(name)

    db = Database(f"sqlite:///{path}")
    await db.transact(write, "before")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        waiting = [asyncio.ensure_future(db.transact(write, name)) for name in "abcdefgh"]
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        waits = (time.monotonic() - begun) / 0.3
    assert [type(error) for error in ended] == [Busy] * 8
    assert tries == ["before"]
    assert waits < 7  # one alone, then the batch of the others, then the first of them: not each
    await db.transact(write, "after")
    db.close()
