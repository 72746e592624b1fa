"""What is read for each decision goes through an index, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text

from darsena.db import Database, Tx
from darsena.identity import store
from darsena.identity.roles import READER
from darsena.identity.room import IdentityRoom
from principals import Principals

from .values import FACTS, GROUP, TENANT

Seen = list[tuple[str, Any]]


def record(db: Database, fn: Any, *args: Any, **kwargs: Any) -> Seen:
    """The statements that a read executes, with their parameters."""
    seen: Seen = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(db.reading, "before_cursor_execute", note)
    try:
        db.read_sync(fn, *args, **kwargs)
    finally:
        event.remove(db.reading, "before_cursor_execute", note)
    return seen


def explain(db: Database, statement: str, parameters: Any) -> str:
    def read(tx: Tx) -> str:
        if db.is_sqlite:
            rows = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(str(row[-1]) for row in rows)
        tx.connection.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(row[0] for row in tx.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))

    return db.read_sync(read)


@pytest.mark.parametrize("name", ["holder", "run holder", "client id", "user name", "admin", "run", "credentials"])
async def test_no_decision_scans_a_table(identity: IdentityRoom, db: Database, name: str) -> None:
    made = await Principals(identity).create_service_principal("app")
    await Principals(identity).assign_role(made.principal.object_id, READER.id, GROUP)
    db.transact_sync(identity.passwords.ensure, FACTS.uid)
    await Principals(identity).create_run_credential(FACTS, "c" * 32, 60)
    calls: dict[str, tuple[Any, ...]] = {
        "holder": (store.find_holder, made.principal.id, TENANT),
        "run holder": (store.find_holder, -1, TENANT),
        "client id": (store.find_by_client_id, made.client_id),
        "user name": (store.find_by_user_name, TENANT, "ana"),
        "admin": (store.find_admin, FACTS.uid),
        "run": (store.find_run, "c" * 32, TENANT),
        "credentials": (store.list_credentials, made.principal.id),
    }
    call = calls[name]
    statements = record(db, *call)
    assert statements
    for statement, parameters in statements:
        plan = explain(db, statement, parameters)
        assert "Seq Scan" not in plan, plan
        assert not any(line.startswith("SCAN") for line in plan.splitlines()), plan
