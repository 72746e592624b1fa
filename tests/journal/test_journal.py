"""The journal's law: dense seq in commit order, nothing lost, nothing without an event."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import ClassVar

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, insert, select

from darsena.db import Database, Tx
from darsena.db.database import UnjournaledWrite
from darsena.journal import Entry, EventBody, list_entries, registry_stream
from darsena.journal.readers import list_lagging_streams, read_batch

STREAM = registry_stream("a" * 32, "local")


class Counted(EventBody, frozen=True):
    kind: ClassVar[str] = "number.counted"
    number: int


# In a MetaData of its own: it belongs to these tests, not to the schema.
fact = Table("test_fact", MetaData(), Column("number", BigInteger, primary_key=True), info={"journaled": True})


def count(tx: Tx, number: int, stream: str = STREAM) -> None:
    tx.emit(stream, Counted(number=number))


async def test_seq_is_dense_per_stream(db: Database) -> None:
    for number in range(3):
        await db.transact(count, number)
    await db.transact(count, 9, "registry:other@local")
    entries = await db.read(list_entries, STREAM, after=0)
    assert [(entry.seq, entry.decode()["number"]) for entry in entries] == [(1, 0), (2, 1), (3, 2)]
    assert [entry.seq for entry in await db.read(list_entries, "registry:other@local", after=0)] == [1]


async def test_concurrent_writers_lose_nothing(db: Database) -> None:
    """A reader that polls while 8 threads write sees every seq once, in order, with no gap that fills later."""
    seen: list[int] = []
    done = threading.Event()

    def write(worker: int) -> None:
        for number in range(20):
            db.transact_sync(count, worker * 100 + number)

    def poll() -> None:
        after = 0
        while True:
            finished = done.is_set()
            for entry in db.read_sync(list_entries, STREAM, after=after, limit=7):
                seen.append(entry.seq)
                after = entry.seq
            if finished and len(seen) == 160:
                return

    reader = threading.Thread(target=poll)
    reader.start()
    await asyncio.gather(*(asyncio.to_thread(write, worker) for worker in range(8)))
    done.set()
    reader.join(timeout=30)
    assert seen == list(range(1, 161))


async def test_failed_transaction_leaves_no_seq(db: Database) -> None:
    def fail(tx: Tx) -> None:
        tx.emit(STREAM, Counted(number=1))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await db.transact(fail)
    await db.transact(count, 2)
    assert [entry.seq for entry in await db.read(list_entries, STREAM, after=0)] == [1]


async def test_journaled_write_without_event_raises(db: Database) -> None:
    with db.engine.begin() as connection:
        fact.create(connection)

    def write(tx: Tx) -> None:
        tx.execute(insert(fact).values(number=1))

    with pytest.raises(UnjournaledWrite, match="test_fact"):
        await db.transact(write)
    assert await db.read(lambda tx: tx.execute(select(fact)).all()) == []


async def test_reader_applies_once_and_in_order(db: Database) -> None:
    applied: list[int] = []

    def apply(_tx: Tx, batch: Sequence[Entry]) -> None:
        applied.extend(entry.seq for entry in batch)

    for number in range(7):
        await db.transact(count, number)
    assert await db.transact(read_batch, "usage", STREAM, apply, limit=3) == 3
    assert await db.read(list_lagging_streams, "usage", "registry:") == [STREAM]
    assert await db.transact(read_batch, "usage", STREAM, apply) == 4
    assert await db.read(list_lagging_streams, "usage", "registry:") == []
    assert applied == [1, 2, 3, 4, 5, 6, 7]


async def test_reader_that_fails_does_not_advance(db: Database) -> None:
    def explode(_tx: Tx, _batch: Sequence[Entry]) -> None:
        raise RuntimeError("no")

    await db.transact(count, 1)
    with pytest.raises(RuntimeError):
        await db.transact(read_batch, "usage", STREAM, explode)
    applied: list[Entry] = []
    assert await db.transact(read_batch, "usage", STREAM, lambda _tx, batch: applied.extend(batch)) == 1
