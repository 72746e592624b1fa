"""Transactions: whole or not at all, reads that cannot write, errors that say what happened."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from darsena.core.errors import RequestInvalid, StartFailure, Unavailable
from darsena.db import Database, Tx, metadata, set_caller
from darsena.db.migrate import HEAD, create, current_revision, migrate
from darsena.journal.tables import cursor
from darsena.testing.postgres import Postgres


def put(tx: Tx, reader: str) -> None:
    tx.execute(insert(cursor).values(reader=reader, stream="s", seq=0))


def names(tx: Tx) -> list[str]:
    return [row.reader for row in tx.execute(select(cursor.c.reader).order_by(cursor.c.reader))]


async def test_commit_and_rollback(db: Database) -> None:
    def put_and_fail(tx: Tx) -> None:
        put(tx, "lost")
        raise RuntimeError("no")

    await db.transact(put, "kept")
    with pytest.raises(RuntimeError):
        await db.transact(put_and_fail)
    assert await db.read(names) == ["kept"]


async def test_read_cannot_write(db: Database) -> None:
    with pytest.raises((DBAPIError, Unavailable)):
        await db.read(put, "never")
    await db.transact(put, "after")  # the connection is fit for writing again
    assert await db.read(names) == ["after"]


async def test_transaction_survives_its_cancelled_caller(db: Database) -> None:
    task = asyncio.create_task(db.transact(put, "kept"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(1000):  # another connection may be the first to finish
        if "kept" in await db.transact(names):  # behind it on SQLite, which has one writer
            break
    assert "kept" in await db.read(names)


@pytest.mark.parametrize("together", [1, 20])
@pytest.mark.parametrize("way", ["transact", "read"])
async def test_what_fails_lets_go_of_what_it_was_given(db: Database, way: str, together: int) -> None:
    """At once, without the collector: refused bodies of megabytes must not wait for it in memory."""

    class Body:
        pass

    def refuse(_tx: Tx, _body: Body) -> None:
        raise RequestInvalid("too many")

    given: list[weakref.ref[Body]] = []

    async def ask() -> None:
        body = Body()
        given.append(weakref.ref(body))
        with suppress(RequestInvalid):
            await getattr(db, way)(refuse, body)

    gc.disable()
    try:
        await asyncio.gather(*(ask() for _ in range(together)))
        await getattr(db, way)(lambda _tx: None)  # the thread is at its next piece of work
        assert [body() for body in given] == [None] * together
    finally:
        gc.enable()


async def test_after_commit_runs_only_after_commit(db: Database) -> None:
    calls: list[str] = []

    def work(tx: Tx, fail: bool) -> None:
        tx.after_commit(lambda: calls.append("done"))
        if fail:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await db.transact(work, True)
    assert calls == []
    await db.transact(work, False)
    assert calls == ["done"]


async def test_actor_reaches_the_transaction(db: Database) -> None:
    set_caller("user:7", "request-1")
    assert await db.transact(lambda tx: (tx.actor, tx.request_id)) == ("user:7", "request-1")


async def test_paged_text_sorts_bytewise(db: Database) -> None:
    def fill(tx: Tx) -> list[str]:
        for stream in ("a-b", "a/b", "aB", "a_b", "ab", "A"):
            tx.execute(insert(cursor).values(reader="r", stream=stream, seq=0))
        return [row.stream for row in tx.execute(select(cursor.c.stream).order_by(cursor.c.stream))]

    got = await db.transact(fill)
    assert got == sorted(got, key=str.encode)


async def test_newer_schema_is_refused(db: Database) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))
    with pytest.raises(StartFailure, match="newer"):
        migrate(db.engine)


async def test_migrating_twice_changes_nothing(db: Database) -> None:
    migrate(db.engine)
    assert current_revision(db.engine) == HEAD


def _schema_difference(db: Database) -> list[object]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    import darsena.app  # noqa: F401 (every room's tables)

    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


async def test_migrations_make_what_the_tables_say(db: Database) -> None:
    assert _schema_difference(db) == []


async def test_sqlite_upgrade_copies_the_file_first(tmp_path: Path) -> None:
    path = tmp_path / "darsena.db"
    db = Database(f"sqlite:///{path}")
    migrate(db.engine, sqlite_file=path, target="0001_spine")
    db.transact_sync(put, "kept")
    migrate(db.engine, sqlite_file=path)
    assert (tmp_path / f"darsena.db.before-{HEAD}").exists()
    assert db.read_sync(names) == ["kept"]
    db.close()


def _tags(tx: Tx) -> list[tuple[int, str, bytes]]:
    return [tuple(row) for row in tx.connection.execute(text("SELECT repository_id, name, digest FROM tag"))]


def _make_tags(tx: Tx) -> None:
    locks = "true, true, true, true"
    tx.connection.execute(text(f"INSERT INTO repository VALUES (1, 'u', 'app', 0, 0, {locks})"))
    for name in ("v2", "V1", "v1"):
        tx.connection.execute(text(f"INSERT INTO tag VALUES (1, '{name}', :digest, 0, 0, {locks})"), {"digest": b"d"})


async def test_tags_move_into_the_order_of_their_names(tmp_path: Path) -> None:
    import darsena.app  # noqa: F401 (every room's tables)

    def describe(tx: Tx) -> list[str]:
        rows = tx.connection.execute(text("SELECT sql FROM sqlite_master WHERE tbl_name = 'tag' ORDER BY name"))
        return [" ".join(sql.split()) for sql in rows.scalars() if sql]

    path = tmp_path / "darsena.db"
    db, made = Database(f"sqlite:///{path}"), Database(f"sqlite:///{tmp_path / 'made.db'}")
    assert create(made.engine)
    migrate(db.engine, sqlite_file=path, target="0011_run_callers")
    db.transact_sync(_make_tags)
    migrate(db.engine, sqlite_file=path)
    assert db.read_sync(_tags) == [(1, name, b"d") for name in ("V1", "v1", "v2")]
    assert len(db.read_sync(describe)) == 3
    assert "WITHOUT ROWID" in "".join(db.read_sync(describe))
    assert sorted(db.read_sync(describe)) == sorted(made.read_sync(describe))
    db.close()
    made.close()


async def test_postgres_upgrade_from_the_first_revision_keeps_data(postgres: Postgres) -> None:
    url = postgres.create()
    db = Database(url)
    migrate(db.engine, target="0001_spine")
    db.transact_sync(put, "kept")
    migrate(db.engine)
    assert db.read_sync(names) == ["kept"]
    db.close()
