"""Look-ups and pages go by an index on both databases: they cost the same at ten tags and at a million."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from darsena.core.digest import Digest
from darsena.db import Database, Tx
from darsena.registry.hot_lookup import STATEMENTS
from darsena.registry.store import blobs, manifests, pulls, repositories, tags, totals, untagged, uploads

from .conftest import APP, UID, Rooms

D = Digest.of(b"config")

LOOK_UPS: dict[str, Callable[[Tx], object]] = {
    "repository": lambda tx: repositories.find(tx, UID, APP),
    "tag": lambda tx: tags.find(tx, 1, "v1"),
    "manifest": lambda tx: manifests.find(tx, 1, D),
    "content": lambda tx: manifests.find_quarantine_details(tx, 1, D),
    "blob of a repository": lambda tx: blobs.find_linked_size(tx, UID, 1, D),
    "blob of a named repository": lambda tx: blobs.find_named(tx, UID, APP, D),
    "blob of a registry": lambda tx: blobs.find_size(tx, UID, D),
    "which blobs are here": lambda tx: blobs.list_linked(tx, 1, [D, Digest.of(b"x")]),
    "which manifests are here": lambda tx: manifests.list_known(tx, 1, [D, Digest.of(b"x")]),
    "who holds a blob": lambda tx: blobs.list_repositories_with(tx, UID, D),
    "who lists a manifest": lambda tx: manifests.list_parents(tx, 1, D),
    "who needs a blob": lambda tx: manifests.is_blob_referenced(tx, 1, D),
    "tags of manifests": lambda tx: tags.map_by_digest(tx, 1, [D]),
    "tags of a manifest": lambda tx: tags.list_of_digest(tx, 1, D),
    "an upload": lambda tx: uploads.is_open(tx, "a" * 32, UID, APP, "me"),
    "expired uploads": lambda tx: uploads.list_expired(tx),
    "pulls": lambda tx: pulls.find(tx, 1, str(D)),
    "manifests that are pulled and there": lambda tx: pulls.list_present(tx, [(1, str(D)), (2, str(D))]),
    "what a registry holds": lambda tx: totals.find(tx, UID),
    "untagged ones that are due": lambda tx: untagged.list_due(tx, UID, 1, 2, untagged.START, 100),
    "untagged ones that may go": lambda tx: untagged.list_removable(tx, 1, [D], 1, 2),
    "subjects": lambda tx: manifests.list_subjects(tx, 1, [D]),
}
PAGES: dict[str, Callable[[Tx], object]] = {
    "repositories": lambda tx: repositories.list_names(tx, UID, "a", 100),
    "tag names": lambda tx: tags.list_names(tx, 1, "a", 100),
    "tags": lambda tx: tags.list_page(tx, 1, last="a", limit=100, order="none", digest=None),
    "released tag names": lambda tx: tags.list_names(tx, 1, "a", 100, hide_quarantined=True),
    "tags of a digest": lambda tx: tags.list_page(tx, 1, last="a", limit=100, order="none", digest=D),
    "newest tags": lambda tx: tags.list_page(tx, 1, last="v1", limit=100, order="timedesc", digest=None),
    "oldest tags": lambda tx: tags.list_page(tx, 1, last="v1", limit=100, order="timeasc", digest=None),
    "newest tags, first page": lambda tx: tags.list_page(tx, 1, last="", limit=100, order="timedesc", digest=None),
    "manifests": lambda tx: manifests.list_page(tx, 1, last=D, limit=100, order="none"),
    "newest manifests": lambda tx: manifests.list_page(tx, 1, last=KNOWN[0], limit=100, order="timedesc"),
    "oldest manifests": lambda tx: manifests.list_page(tx, 1, last=KNOWN[0], limit=100, order="timeasc"),
    "referrers": lambda tx: manifests.list_referrers(tx, 1, D, last=D, limit=100),
    "referrers of a type": lambda tx: manifests.list_referrers(tx, 1, D, artifact_type="a/b", last=D, limit=100),
}
"""These must come out of the index in their order: nothing is sorted."""
KNOWN: list[Digest] = []


@contextmanager
def captured(db: Database) -> Iterator[list[tuple[str, Any]]]:
    """The SELECTs that go to the database, with their parameters; SQLite tells its statements with these in place."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    def listen(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.set_trace_callback(lambda statement: note(None, None, statement, (), None, False))

    def stop(connection: Any, _record: Any) -> None:
        connection.set_trace_callback(None)

    calls = {"checkout": listen, "checkin": stop} if db.is_sqlite else {"before_cursor_execute": note}
    for name, call in calls.items():
        event.listen(db.reading, name, call)
    yield seen
    for name, call in calls.items():
        event.remove(db.reading, name, call)


def explain(db: Database, statement: str, parameters: Any) -> str:
    def read(tx: Tx) -> str:
        if db.is_sqlite:
            rows = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row[3] for row in rows)
        for kind in ("seqscan", "bitmapscan"):  # with few rows they are cheapest, whatever index there is
            tx.connection.exec_driver_sql(f"SET LOCAL enable_{kind} = off")
        return "\n".join(row[0] for row in tx.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))

    return db.read_sync(read)


@pytest.fixture
async def furnished(rooms: Rooms) -> Database:
    KNOWN[:] = [await rooms.push_image("v1", b"config", b"layer")]
    return rooms.db


async def test_nothing_is_scanned(furnished: Database) -> None:
    for name, ask in {**LOOK_UPS, **PAGES}.items():
        with captured(furnished) as seen:
            furnished.read_sync(ask)
        assert seen, name
        for statement, parameters in seen:
            plan = explain(furnished, statement, parameters)
            assert "SCAN" not in plan, (name, plan)
            assert "Seq Scan" not in plan, (name, plan)


async def test_pages_are_not_sorted(furnished: Database) -> None:
    for name, ask in PAGES.items():
        with captured(furnished) as seen:
            furnished.read_sync(ask)
        plan = explain(furnished, *seen[-1])
        assert "TEMP B-TREE" not in plan, (name, plan)
        assert "Sort" not in plan, (name, plan)


async def test_pulls_are_added_without_a_scan(furnished: Database) -> None:
    """However many are noted at once."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("INSERT INTO pull_count"):
            seen.append((statement, parameters))

    event.listen(furnished.engine, "before_cursor_execute", note)
    furnished.transact_sync(pulls.add, [(1, name, 1, 1) for name in ("", str(KNOWN[0]))])
    event.remove(furnished.engine, "before_cursor_execute", note)
    (added,) = seen
    plan = explain(furnished, *added)
    assert "Seq Scan" not in plan, plan
    assert "SCAN pull_count" not in plan, plan


def test_the_hot_statements(sqlite_template: Any) -> None:
    connection = sqlite3.connect(sqlite_template)
    for name, statement in STATEMENTS.items():
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", (1,) * statement.count("?")).fetchall()
        assert all(row[3].startswith("SEARCH") for row in rows), (name, rows)
    connection.close()
