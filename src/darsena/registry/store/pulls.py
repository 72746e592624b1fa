"""Rows of `pull_count`: no facts for the journal, and gone with what they count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import case, delete, select, tuple_

from darsena.core.digest import Digest
from darsena.db import Tx
from darsena.db.dialects import insert_for, lock_against_deletion
from darsena.registry.model import Pulls
from darsena.registry.tables import manifest, pull_count, repository, tag

WHOLE = ""
"""The reference under which a repository as a whole is counted."""

Counted = tuple[int, str]
"""(repository id, reference)."""


def add(tx: Tx, pulls: Mapping[Counted, Pulls]) -> int:
    """Add to what is counted of repositories, tags and manifests that are there; returns how many of them are.

    What several processes count adds up. Locks in the order of ids and of references, against deadlocks.
    """
    present = _list_present(tx, sorted(pulls))
    if not present:
        return 0
    values = [
        {"repository_id": id_, "reference": reference, "pulls": counted.number, "last_pull_at": counted.last_us}
        for (id_, reference), counted in ((key, pulls[key]) for key in present)
    ]
    insert = insert_for(tx.dialect, pull_count).values(values)
    pulled = insert.excluded.last_pull_at
    latest = case((pulled > pull_count.c.last_pull_at, pulled), else_=pull_count.c.last_pull_at)
    added = {"pulls": pull_count.c.pulls + insert.excluded.pulls, "last_pull_at": latest}
    tx.execute(insert.on_conflict_do_update(index_elements=["repository_id", "reference"], set_=added))
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


def _list_present(tx: Tx, keys: Sequence[Counted]) -> list[Counted]:
    """Which of these are there, in the same order; none of them is deleted before this transaction ends."""
    ids = sorted({id_ for id_, _ in keys})
    statement = select(repository.c.id).where(repository.c.id.in_(ids)).order_by(repository.c.id)
    present: set[Counted] = {(id_, WHOLE) for id_ in tx.execute(lock_against_deletion(tx.dialect, statement)).scalars()}
    tags = [key for key in keys if key[1] and ":" not in key[1]]
    digests = [(id_, Digest.parse(text).stored) for id_, text in keys if ":" in text]
    if tags:
        found = select(tag.c.repository_id, tag.c.name).where(tuple_(tag.c.repository_id, tag.c.name).in_(tags))
        present |= {(row.repository_id, row.name) for row in tx.execute(found)}
    if digests:
        here = tuple_(manifest.c.repository_id, manifest.c.digest).in_(digests)
        rows = tx.execute(select(manifest.c.repository_id, manifest.c.digest).where(here))
        present |= {(row.repository_id, str(Digest.from_stored(row.digest))) for row in rows}
    return [key for key in keys if key in present]
