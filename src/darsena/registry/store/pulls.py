"""Rows of `pull_count`: no facts for the journal, and gone with what they count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, case, delete, select

from darsena.core.digest import Digest, text_of_stored
from darsena.db import Tx
from darsena.db.dialects import ByDialect, insert_for, insert_rows, lock_against_deletion
from darsena.registry.model import Pulls
from darsena.registry.tables import manifest, pull_count, repository, tag

WHOLE = ""
"""The reference under which a repository as a whole is counted."""

Counted = tuple[int, str]
"""(repository id, reference)."""


def _prepare_add(dialect: str) -> Any:
    insert = insert_for(dialect, pull_count)
    pulled = insert.excluded.last_pull_at
    latest = case((pulled > pull_count.c.last_pull_at, pulled), else_=pull_count.c.last_pull_at)
    added = {"pulls": pull_count.c.pulls + insert.excluded.pulls, "last_pull_at": latest}
    return insert.on_conflict_do_update(index_elements=["repository_id", "reference"], set_=added)


_ADD = ByDialect(_prepare_add)
_COLUMNS = ("repository_id", "reference", "pulls", "last_pull_at")
_MANIFESTS = select(manifest.c.digest).where(
    manifest.c.repository_id == bindparam("repository"), manifest.c.digest.in_(bindparam("digests", expanding=True))
)
_TAGS = select(tag.c.name).where(
    tag.c.repository_id == bindparam("repository"), tag.c.name.in_(bindparam("names", expanding=True))
)


def add(tx: Tx, pulls: Mapping[Counted, Pulls]) -> int:
    """Add to what is counted of repositories, tags and manifests that are there; returns how many of them are.

    What several processes count adds up. Locks in the order of ids and of references, against deadlocks.
    """
    present = _keep_present(tx, sorted(pulls))
    if not present:
        return 0
    rows = [(*key, pulls[key].number, pulls[key].last_us) for key in present]
    insert_rows(tx.connection, _ADD[tx.dialect], _COLUMNS, rows)
    return len(present)


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


def _keep_present(tx: Tx, keys: Sequence[Counted]) -> list[Counted]:
    """Which of these are there, in the same order; none of them is deleted before this transaction ends."""
    ids = sorted({id_ for id_, _ in keys})
    statement = select(repository.c.id).where(repository.c.id.in_(ids)).order_by(repository.c.id)
    wholes = {(id_, WHOLE) for id_ in tx.execute(lock_against_deletion(tx.dialect, statement)).scalars()}
    present = wholes | list_present(tx, keys)
    return [key for key in keys if key in present]


def list_present(tx: Tx, keys: Sequence[Counted]) -> set[Counted]:
    """Tags and manifests among these that are there. By repository: SQLite scans for a list of pairs."""
    by_repository: dict[int, list[str]] = {}
    for id_, reference in keys:
        by_repository.setdefault(id_, []).append(reference)
    present: set[Counted] = set()
    for id_, references in by_repository.items():
        digests = [Digest.parse(text).stored for text in references if ":" in text]
        if digests:
            rows = tx.execute(_MANIFESTS, {"repository": id_, "digests": digests})
            present |= {(id_, text_of_stored(stored)) for stored in rows.scalars()}
        names = [text for text in references if text and ":" not in text]
        if names:
            rows = tx.execute(_TAGS, {"repository": id_, "names": names})
            present |= {(id_, name) for name in rows.scalars()}
    return present
