"""Old entries go; what a reader still needs stays for a month, and the numbering goes on."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from darsena.db import Database, Tx
from darsena.journal import list_entries, registry_stream, subscription_stream
from darsena.journal.readers import list_lagging_streams, read_batch
from darsena.journal.tables import journal_head
from darsena.journal.trimming import trim, trim_all
from darsena.testing import FakeClock

from .test_journal import STREAM, count

DAY_S = 86_400
SUBSCRIPTION = subscription_stream("00000000-0000-0000-0000-000000000001")


async def numbers(db: Database, stream: str) -> list[int]:
    return [entry.seq for entry in await db.read(list_entries, stream, after=0)]


def floor(tx: Tx, stream: str) -> int:
    return tx.execute(select(journal_head.c.floor).where(journal_head.c.stream == stream)).scalar_one()


async def fill(db: Database, stream: str, number: int) -> None:
    for each in range(number):
        await db.transact(count, each, stream)


async def test_what_was_read_goes_after_a_week(db: Database, clock: FakeClock) -> None:
    await fill(db, STREAM, 5)
    await db.transact(read_batch, "usage", STREAM, lambda _tx, _batch: None, limit=4)
    await db.transact(read_batch, "slow", STREAM, lambda _tx, _batch: None, limit=2)
    clock.advance(7 * DAY_S)
    assert await trim_all(db) == 0
    clock.advance(1)
    assert await trim_all(db) == 2
    await db.transact(count, 99)
    assert await numbers(db, STREAM) == [3, 4, 5, 6]
    assert await db.read(floor, STREAM) == 2


async def test_what_nobody_reads_goes_after_a_month(db: Database, clock: FakeClock) -> None:
    await fill(db, STREAM, 3)
    clock.advance(30 * DAY_S)
    assert await trim_all(db) == 0
    clock.advance(1)
    await db.transact(count, 99)
    assert await trim_all(db) == 3
    assert await numbers(db, STREAM) == [4]
    assert await db.read(floor, STREAM) == 3
    assert await db.read(list_lagging_streams, "usage", "registry:") == [STREAM]


async def test_the_activity_of_a_subscription_is_kept_for_90_days(db: Database, clock: FakeClock) -> None:
    await fill(db, SUBSCRIPTION, 2)
    clock.advance(90 * DAY_S)
    await db.transact(count, 99, SUBSCRIPTION)
    assert await trim_all(db) == 0
    clock.advance(1)
    assert await trim_all(db) == 2
    assert await numbers(db, SUBSCRIPTION) == [3]


async def test_many_take_several_transactions(db: Database, clock: FakeClock) -> None:
    other = registry_stream("b" * 32, "local")
    await fill(db, STREAM, 5)
    await fill(db, other, 1)
    clock.advance(31 * DAY_S)
    assert [await db.transact(trim, STREAM, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert await trim_all(db) == 1
    assert [await numbers(db, stream) for stream in (STREAM, other)] == [[], []]
    await db.transact(count, 9, other)
    assert await numbers(db, other) == [2]


@pytest.mark.parametrize("stream", [STREAM, SUBSCRIPTION])
async def test_nothing_is_trimmed_where_nothing_is(db: Database, stream: str) -> None:
    assert await trim_all(db) == 0
    assert await db.transact(trim, stream) == 0
