"""SQL of the keys of signed URLs. Their values are sealed with the system's key."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from darsena.db import Tx
from darsena.tasks.tables import url_key


def find_newest(tx: Tx) -> tuple[str, bytes, int] | None:
    """(kid, sealed, created at)."""
    row = tx.execute(select(url_key).order_by(url_key.c.created_at.desc(), url_key.c.kid).limit(1)).one_or_none()
    return None if row is None else (row.kid, row.sealed, row.created_at)


def find_key(tx: Tx, kid: str) -> bytes | None:
    return tx.execute(select(url_key.c.sealed).where(url_key.c.kid == kid)).scalar()


def insert_key(tx: Tx, kid: str, sealed: bytes) -> None:
    tx.execute(insert(url_key).values(kid=kid, sealed=sealed, created_at=tx.now_us))


def delete_keys(tx: Tx, created_before_us: int) -> None:
    tx.execute(delete(url_key).where(url_key.c.created_at < created_before_us))
