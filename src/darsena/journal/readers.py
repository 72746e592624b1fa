"""Readers: each follows streams with a durable cursor, at least once, in order.

A reader's transaction reads a batch, does its own writes (enqueue jobs, update a view) and advances the cursor, so an
entry is never skipped and never counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import func, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore, lock_for_update
from darsena.journal.log import Entry, list_entries
from darsena.journal.tables import cursor, journal_head

Apply = Callable[[Tx, Sequence[Entry]], None]


def list_lagging_streams(tx: Tx, reader: str, prefix: str) -> list[str]:
    """Streams that begin with `prefix` and have entries this reader has not seen."""
    seen = select(cursor.c.stream, cursor.c.seq).where(cursor.c.reader == reader).subquery()
    rows = tx.execute(
        select(journal_head.c.stream)
        .outerjoin(seen, seen.c.stream == journal_head.c.stream)
        .where(
            journal_head.c.stream.startswith(prefix, autoescape=True),
            journal_head.c.seq > func.coalesce(seen.c.seq, 0),
        )
        .order_by(journal_head.c.stream)
    )
    return [row.stream for row in rows]


def read_batch(tx: Tx, reader: str, stream: str, apply: Apply, *, limit: int = 500) -> int:
    """Apply the next batch and advance the cursor in this transaction; returns how many entries it had."""
    tx.execute(insert_ignore(tx.dialect, cursor, {"reader": reader, "stream": stream, "seq": 0}))
    here = (cursor.c.reader == reader) & (cursor.c.stream == stream)
    after = tx.execute(lock_for_update(tx.dialect, select(cursor.c.seq).where(here))).scalar_one()
    batch = list_entries(tx, stream, after=after, limit=limit)
    if batch:
        apply(tx, batch)
        tx.execute(update(cursor).where(here).values(seq=batch[-1].seq))
    return len(batch)
