"""Rows of the simplest table, each with a name of its own."""

from __future__ import annotations

from sqlalchemy import insert, select

from darsena.db import Tx
from darsena.journal.tables import cursor


def put(tx: Tx, reader: str) -> str:
    tx.execute(insert(cursor).values(reader=reader, stream="s", seq=0))
    return reader


def names(tx: Tx) -> list[str]:
    return [row.reader for row in tx.execute(select(cursor.c.reader).order_by(cursor.c.reader))]
