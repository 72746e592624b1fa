"""SQL of agents: which there are, what they can do, when they were last heard of."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import delete, select, update

from darsena.db import Tx
from darsena.db.dialects import upsert
from darsena.tasks.model import AgentRow
from darsena.tasks.tables import agent


def put_agent(tx: Tx, row: AgentRow) -> None:
    values = {
        "id": row.id,
        "pool": row.pool,
        "cpu": row.cpu,
        "platforms": msgspec.json.encode(row.platforms),
        "info": msgspec.json.encode(row.info),
        "seen_at": row.seen_at_us,
    }
    tx.execute(upsert(tx.dialect, agent, values, key=["id"], update=["pool", "cpu", "platforms", "info", "seen_at"]))


def touch_agent(tx: Tx, id_: str, seen_at_us: int) -> None:
    tx.execute(update(agent).where(agent.c.id == id_).values(seen_at=seen_at_us))


def find_agent(tx: Tx, id_: str) -> AgentRow | None:
    row = tx.execute(select(agent).where(agent.c.id == id_)).one_or_none()
    return None if row is None else _agent(row)


def list_agents(tx: Tx, *, pool: str | None = None, seen_after_us: int = 0) -> list[AgentRow]:
    statement = select(agent).where(agent.c.seen_at > seen_after_us).order_by(agent.c.id)
    if pool is not None:
        statement = statement.where(agent.c.pool == pool)
    return [_agent(row) for row in tx.execute(statement)]


def delete_agents(tx: Tx, seen_before_us: int) -> None:
    tx.execute(delete(agent).where(agent.c.seen_at < seen_before_us))


def _agent(row: Any) -> AgentRow:
    return AgentRow(
        id=row.id,
        pool=row.pool,
        cpu=row.cpu,
        platforms=msgspec.json.decode(row.platforms, type=tuple[str, ...]),
        info=msgspec.json.decode(row.info, type=dict[str, Any]),
        seen_at_us=row.seen_at,
    )
