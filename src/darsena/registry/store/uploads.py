"""Rows of `upload`: who may continue which blob upload, and until when."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select

from darsena.db import Prepared, Tx
from darsena.registry.tables import upload

_OPEN = Prepared(
    select(upload.c.uid).where(
        upload.c.uid == bindparam("which"),
        upload.c.registry_uid == bindparam("registry"),
        upload.c.repository == bindparam("repository"),
        upload.c.principal == bindparam("principal"),
        upload.c.expires_at > bindparam("now"),
    )
)


def insert_new(tx: Tx, uid: str, registry_uid: str, repository: str, principal: str, lifetime_us: int) -> None:
    tx.execute(
        insert(upload).values(
            uid=uid,
            registry_uid=registry_uid,
            repository=repository,
            principal=principal,
            created_at=tx.now_us,
            expires_at=tx.now_us + lifetime_us,
        )
    )


def is_open(tx: Tx, uid: str, registry_uid: str, repository: str, principal: str) -> bool:
    """An upload belongs to its registry, repository and principal; to others it does not exist."""
    of = {"which": uid, "registry": registry_uid, "repository": str(repository), "principal": principal}
    return tx.run(_OPEN, {**of, "now": tx.now_us}).first() is not None


def remove(tx: Tx, uid: str) -> None:
    tx.execute(delete(upload).where(upload.c.uid == uid))


def remove_all(tx: Tx, registry_uid: str) -> None:
    tx.execute(delete(upload).where(upload.c.registry_uid == registry_uid))


def list_expired(tx: Tx, limit: int = 200) -> list[tuple[str, str]]:
    """(registry uid, upload uid) of uploads whose time is over."""
    rows = tx.execute(select(upload.c.registry_uid, upload.c.uid).where(upload.c.expires_at <= tx.now_us).limit(limit))
    return [(row.registry_uid, row.uid) for row in rows]
