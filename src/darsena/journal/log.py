"""Appending to streams and reading from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam, insert, select, update

from darsena.db import Prepared, Tx
from darsena.db.dialects import insert_ignore, insert_rows
from darsena.journal.events import encode
from darsena.journal.tables import journal, journal_head


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    stream: str
    seq: int
    kind: str
    body: bytes
    """JSON; `decode` gives it as an object."""
    actor: str
    request_id: str
    at_us: int
    address: str | None = None
    """Of the client that asked for the change, where one did."""

    def decode(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])


_ADVANCE = Prepared(
    update(journal_head)
    .where(journal_head.c.stream == bindparam("which"))
    .values(seq=journal_head.c.seq + bindparam("count"))
    .returning(journal_head.c.seq)
)
_APPEND = insert(journal)
_COLUMNS = ("stream", "seq", "kind", "body", "actor", "request_id", "at", "address")


def append(tx: Tx) -> None:
    """Give the transaction's events their dense numbers: the last statements before commit, on purpose.

    The UPDATE … RETURNING holds the stream's row lock until commit, so sequence order is commit order. An identity
    column would lose events to readers. Streams are locked in sorted order, so that two writers cannot deadlock.
    """
    by_stream: dict[str, list[Any]] = {}
    for stream, event in tx.events:
        by_stream.setdefault(stream, []).append(event)
    for stream in sorted(by_stream):
        events = by_stream[stream]
        first = _advance(tx, stream, len(events)) - len(events) + 1
        rows = [
            (stream, seq, event.kind, encode(event), tx.actor, tx.request_id, tx.now_us, tx.address)
            for seq, event in enumerate(events, first)
        ]
        insert_rows(tx.connection, _APPEND, _COLUMNS, rows)


def _advance(tx: Tx, stream: str, count: int) -> int:
    last = tx.run(_ADVANCE, {"which": stream, "count": count}).scalar()
    if last is None:
        tx.execute(insert_ignore(tx.dialect, journal_head, {"stream": stream, "seq": 0, "floor": 0}))
        last = tx.run(_ADVANCE, {"which": stream, "count": count}).scalar()
    assert isinstance(last, int)
    return last


def list_entries(tx: Tx, stream: str, *, after: int, limit: int = 500) -> list[Entry]:
    """Entries with seq > after, in order."""
    rows = tx.execute(
        select(journal).where(journal.c.stream == stream, journal.c.seq > after).order_by(journal.c.seq).limit(limit)
    )
    return [_entry(row) for row in rows]


def list_newest(tx: Tx, stream: str, *, before: int | None = None, since_us: int = 0, limit: int = 500) -> list[Entry]:
    """The newest entries first: with seq < before, not older than `since_us`."""
    query = select(journal).where(journal.c.stream == stream, journal.c.at >= since_us)
    if before is not None:
        query = query.where(journal.c.seq < before)
    return [_entry(row) for row in tx.execute(query.order_by(journal.c.seq.desc()).limit(limit))]


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        stream=row.stream,
        seq=row.seq,
        kind=row.kind,
        body=row.body,
        actor=row.actor,
        request_id=row.request_id,
        at_us=row.at,
        address=row.address,
    )
