"""Old entries go, so that the journal does not grow for ever. Tables are the truth; it tells of changes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, func, select, update

from darsena.db import Database, Tx
from darsena.journal.tables import cursor, journal, journal_head

_DAY_US: Final = 86_400_000_000
READ_US: Final = 7 * _DAY_US
"""What every reader has seen is kept so long, of the streams that have readers: those of registries."""
UNREAD_US: Final = 30 * _DAY_US
"""What a reader has not seen after so long it will not see: it counts anew (`journal_head.floor`)."""
ACTIVITY_US: Final = 90 * _DAY_US
"""Of subscriptions' streams, which `darsena activity` shows; so long Azure keeps its activity log."""
AT_ONCE: Final = 2_000
"""Entries of one transaction: some ten milliseconds."""


async def trim_all(db: Database) -> int:
    """Remove what has grown old; returns how many entries that were."""
    removed = 0
    for stream in await db.read(_list_streams):
        while count := await db.transact(trim, stream):
            removed += count
    return removed


def trim(tx: Tx, stream: str, limit: int = AT_ONCE) -> int:
    """Remove the oldest entries of a stream, at most so many, and raise its floor above them."""
    read_before_us, any_before_us = tx.now_us - READ_US, tx.now_us - UNREAD_US
    if stream.startswith("subscription:"):
        read_before_us = any_before_us = tx.now_us - ACTIVITY_US
    seen = tx.execute(select(func.min(cursor.c.seq)).where(cursor.c.stream == stream)).scalar() or 0
    here = journal.c.stream == stream
    floor = count = 0
    for row in tx.execute(select(journal.c.seq, journal.c.at).where(here).order_by(journal.c.seq).limit(limit)):
        if row.at >= (read_before_us if row.seq <= seen else any_before_us):
            break
        floor, count = row.seq, count + 1
    if count:
        tx.execute(delete(journal).where(here, journal.c.seq <= floor))
        tx.execute(update(journal_head).where(journal_head.c.stream == stream).values(floor=floor))
    return count


def _list_streams(tx: Tx) -> list[str]:
    """Those that have entries."""
    rows = tx.execute(select(journal_head.c.stream).where(journal_head.c.seq > journal_head.c.floor))
    return sorted(row.stream for row in rows)
