"""Rows of `pull_count`: no facts for the journal, and gone with what they count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, String, bindparam, case, delete, select

from darsena.core.digest import Digest, text_of_stored
from darsena.db import Tx
from darsena.db.dialects import ByDialect, insert_for, lock_against_deletion, rows_of_json
from darsena.registry.model import Pulls
from darsena.registry.tables import manifest, pull_count, repository

WHOLE = ""
"""The reference under which a repository as a whole is counted."""

Counted = tuple[int, str, int, int]
"""(repository id, reference, number of pulls, time of the last one)."""

_COLUMNS = {"repository_id": BigInteger(), "reference": String(), "pulls": BigInteger(), "last_pull_at": BigInteger()}


def _prepare_add(dialect: str) -> Any:
    """One statement for them all. Locks in the order of ids and of references, against deadlocks."""
    counted = rows_of_json(dialect, "counted", bindparam("counted", type_=String()), _COLUMNS)
    rows = select(counted).order_by(counted.c.repository_id, counted.c.reference)
    insert = insert_for(dialect, pull_count).from_select(list(_COLUMNS), rows)
    pulled = insert.excluded.last_pull_at
    latest = case((pulled > pull_count.c.last_pull_at, pulled), else_=pull_count.c.last_pull_at)
    added = {"pulls": pull_count.c.pulls + insert.excluded.pulls, "last_pull_at": latest}
    return insert.on_conflict_do_update(index_elements=["repository_id", "reference"], set_=added)


_ADD = ByDialect(_prepare_add)
_MANIFESTS = select(manifest.c.digest).where(
    manifest.c.repository_id == bindparam("repository"), manifest.c.digest.in_(bindparam("digests", expanding=True))
)


def add(tx: Tx, counted: Sequence[Counted]) -> int:
    """Add to what is counted of repositories and manifests that are there; returns how many of them are.

    None of them twice. What several processes count adds up.
    """
    ids = sorted({row[0] for row in counted})
    # Nothing of these repositories is deleted before this transaction ends.
    statement = select(repository.c.id).where(repository.c.id.in_(ids)).order_by(repository.c.id)
    there = set(tx.execute(lock_against_deletion(tx.dialect, statement)).scalars())
    present = list_present(tx, [(id_, name) for id_, name, _, _ in counted if id_ in there and name != WHOLE])
    rows = [row for row in counted if row[0] in there and (row[1] == WHOLE or (row[0], row[1]) in present)]
    if not rows:
        return 0
    return tx.execute(_ADD[tx.dialect], {"counted": msgspec.json.encode(rows).decode()}).rowcount


def find(tx: Tx, repository_id: int, reference: str) -> Pulls | None:
    """None: never pulled, as far as it has been noted."""
    here = (pull_count.c.repository_id == repository_id) & (pull_count.c.reference == reference)
    row = tx.execute(select(pull_count.c.pulls, pull_count.c.last_pull_at).where(here)).first()
    return None if row is None else Pulls(number=row.pulls, last_us=row.last_pull_at)


def remove(tx: Tx, repository_id: int, references: Iterable[str]) -> None:
    here = pull_count.c.repository_id == repository_id
    tx.execute(delete(pull_count).where(here, pull_count.c.reference.in_(list(references))))


def remove_all(tx: Tx, repository_id: int) -> None:
    tx.execute(delete(pull_count).where(pull_count.c.repository_id == repository_id))


def list_present(tx: Tx, digests: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
    """Manifests among these that are there. By repository: SQLite scans for a list of pairs."""
    by_repository: dict[int, list[str]] = {}
    for id_, digest in digests:
        by_repository.setdefault(id_, []).append(digest)
    present: set[tuple[int, str]] = set()
    for id_, texts in by_repository.items():
        rows = tx.execute(_MANIFESTS, {"repository": id_, "digests": [Digest.parse(text).stored for text in texts]})
        present |= {(id_, text_of_stored(stored)) for stored in rows.scalars()}
    return present
