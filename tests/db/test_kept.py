"""SQLite: the connections that the writer's thread and the event loop keep."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from darsena.core.errors import Unavailable
from darsena.db import Database, Tx

from .rows import names, put


def count_connections(db: Database) -> list[sqlite3.Connection]:
    opened: list[sqlite3.Connection] = []
    for engine in (db.engine, db.reading):
        event.listen(engine, "connect", lambda connection, _record: opened.append(connection))
    return opened


async def test_one_connection_for_all_that_is_written_and_one_for_all_look_ups(sqlite: Database) -> None:
    opened = count_connections(sqlite)
    for name in "abc":
        await sqlite.transact(put, name)
        assert name in await sqlite.look_up(names)  # what was written shows at once
    assert len(opened) == 2


async def test_what_fails_leaves_nothing_open(sqlite: Database) -> None:
    def put_and_fail(tx: Tx) -> None:
        put(tx, "lost")
        raise RuntimeError("no")

    def look_and_fail(tx: Tx) -> None:
        names(tx)
        raise RuntimeError("no")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await sqlite.transact(put_and_fail)
        with pytest.raises(RuntimeError):
            await sqlite.look_up(look_and_fail)
    await sqlite.transact(put, "kept")
    assert await sqlite.look_up(names) == ["kept"]
    busy, *_ = sqlite.read_sync(lambda tx: tx.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one())
    assert busy == 0  # nobody reads any more


async def test_an_error_of_the_database_costs_the_connection_and_nothing_else(sqlite: Database) -> None:
    await sqlite.transact(put, "a")
    opened = count_connections(sqlite)
    with pytest.raises(IntegrityError):
        await sqlite.transact(put, "a")
    with pytest.raises((OperationalError, Unavailable)):
        await sqlite.look_up(lambda tx: tx.execute(text("SELECT * FROM absent")))
    await sqlite.transact(put, "b")
    assert await sqlite.look_up(names) == ["a", "b"]
    assert len(opened) == 3  # the first for look-ups, and one more for each


async def test_look_ups_cannot_write(sqlite: Database) -> None:
    with pytest.raises((OperationalError, Unavailable)):
        await sqlite.look_up(put, "never")
    assert await sqlite.look_up(names) == []


async def test_another_thread_s_loop_looks_up_by_a_connection_of_its_own(sqlite: Database) -> None:
    await sqlite.transact(put, "a")
    assert await sqlite.look_up(names) == ["a"]
    opened = count_connections(sqlite)
    assert await asyncio.to_thread(lambda: asyncio.run(sqlite.look_up(names))) == ["a"]
    assert len(opened) == 1
