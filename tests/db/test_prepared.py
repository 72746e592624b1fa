"""Prepared statements give what SQLAlchemy gives, on both databases; on SQLite the driver is asked by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, DateTime, MetaData, String, Table, bindparam, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from darsena.db import Database, Prepared, Tx
from darsena.db.database import UnjournaledWrite
from darsena.db.dialects import prepare_insert_ignore
from darsena.journal.tables import cursor
from darsena.registry.tables import repository

_INSERT = Prepared(insert(repository))
_FIND = Prepared(select(repository).where(repository.c.name == bindparam("name")))
_CURSOR = Prepared(insert(cursor))
_ADD = Prepared(prepare_insert_ignore(cursor))
_REMOVE = Prepared(delete(cursor).where(cursor.c.reader == bindparam("reader")))


def make(name: str, *, read: bool = True) -> dict[str, object]:
    return {
        "registry_uid": "a" * 32,
        "name": name,
        "created_at": 1,
        "updated_at": 2,
        "read_enabled": read,
        "write_enabled": True,
        "delete_enabled": False,
        "list_enabled": True,
    }


def test_rows_have_their_columns_and_types(db: Database) -> None:
    def work(tx: Tx) -> None:
        tx.run(_INSERT, make("one", read=False))
        row = tx.run(_FIND, {"name": "one"}).first()
        assert tuple(row) == tuple(tx.execute(select(repository)).one())
        assert (row.name, row.read_enabled, row.write_enabled) == ("one", False, True)
        assert type(row.read_enabled) is bool

    with pytest.raises(UnjournaledWrite):  # there is no event: nothing of it stays
        db.transact_sync(work)
    found = db.read_sync(lambda tx: tx.run(_FIND, {"name": "one"}))
    assert (found.first(), found.scalar(), list(found)) == (None, None, [])


def test_how_many_were_written(db: Database) -> None:
    values = {"reader": "r", "stream": "s", "seq": 7}
    counts = db.transact_sync(lambda tx: [tx.run(_ADD, values).count for _ in range(2)])
    assert counts == [1, 0]
    assert db.transact_sync(lambda tx: tx.run(_REMOVE, {"reader": "r"}).count) == 1
    assert db.transact_sync(lambda tx: tx.run(_REMOVE, {"reader": "r"}).count) == 0


def test_values_that_stand_in_the_statement(db: Database) -> None:
    newest = Prepared(
        select(cursor.c.seq, func.lower("S", type_=String).label("small"))
        .where(cursor.c.reader == "r", cursor.c.stream != bindparam("not"))
        .order_by(cursor.c.seq.desc())
        .limit(2)
    )

    def work(tx: Tx) -> list[tuple[int, str]]:
        for seq in range(5):
            tx.run(_CURSOR, {"reader": "r", "stream": str(seq), "seq": seq})
        return [(row.seq, row.small) for row in tx.run(newest, {"not": "4"})]

    assert db.transact_sync(work) == [(3, "s"), (2, "s")]


def test_only_what_is_written_to_a_journaled_table_needs_an_event(db: Database) -> None:
    with pytest.raises(UnjournaledWrite):
        db.transact_sync(lambda tx: tx.run(_INSERT, make("one")))
    nothing = Prepared(delete(repository).where(repository.c.name == bindparam("name")))
    db.transact_sync(lambda tx: tx.run(nothing, {"name": "one"}))


def test_errors_are_those_of_sqlalchemy(db: Database) -> None:
    values = {"reader": "r", "stream": "s", "seq": 7}
    db.transact_sync(lambda tx: tx.run(_CURSOR, values))
    with pytest.raises(IntegrityError):
        db.transact_sync(lambda tx: tx.run(_CURSOR, values))


def test_a_type_that_is_read_otherwise_is_refused(tmp_path: Path) -> None:
    """SQLite keeps times as text: they would come out as they lie."""
    table = Table("times", MetaData(), Column("at", DateTime))
    db = Database(f"sqlite:///{tmp_path / 'times.db'}")
    with pytest.raises(TypeError, match="at"):
        db.read_sync(lambda tx: tx.run(Prepared(select(table)), {}))
    db.close()
