"""Rows of `tag`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, exists, insert, or_, select, tuple_, update

from darsena.core.digest import Digest, text_of_stored
from darsena.core.names import TagName
from darsena.db import Prepared, Tx
from darsena.registry.model import PASSED, OrderBy, Tag
from darsena.registry.store.repositories import attributes_of
from darsena.registry.tables import manifest, tag

_IS_QUARANTINED = (
    exists()
    .where(
        manifest.c.repository_id == tag.c.repository_id,
        manifest.c.digest == tag.c.digest,
        manifest.c.quarantine_state != PASSED,
    )
    .correlate(tag)
)
"""A tag's manifest has a state, and it is not that it passed."""


_FIND = Prepared(select(tag).where(tag.c.repository_id == bindparam("repository"), tag.c.name == bindparam("which")))
_INSERT = Prepared(insert(tag))
_LISTED = (
    select(tag.c.name)
    .where(tag.c.repository_id == bindparam("repository"), tag.c.name > bindparam("after"), tag.c.list_enabled)
    .order_by(tag.c.name)
    .limit(bindparam("limit"))
)
_NAMES = Prepared(_LISTED)
_RELEASED_NAMES = Prepared(_LISTED.where(~_IS_QUARANTINED))


def find(tx: Tx, repository_id: int, name: str) -> Tag | None:
    row = tx.run(_FIND, {"repository": repository_id, "which": str(name)}).first()
    return None if row is None else _tag(row)


def put(tx: Tx, repository_id: int, name: TagName, digest: Digest, existing: Tag | None) -> None:
    """Create or move."""
    if existing is not None:
        moved = update(tag).where(_here(repository_id, name)).values(digest=digest.stored, updated_at=tx.now_us)
        tx.execute(moved)
        return
    values = {"repository_id": repository_id, "name": str(name), "digest": digest.stored}
    locks = {"read_enabled": True, "write_enabled": True, "delete_enabled": True, "list_enabled": True}
    tx.run(_INSERT, {**values, "created_at": tx.now_us, "updated_at": tx.now_us, **locks})


def remove(tx: Tx, repository_id: int, name: str) -> None:
    tx.execute(delete(tag).where(_here(repository_id, name)))


def remove_all(tx: Tx, repository_id: int) -> None:
    tx.execute(delete(tag).where(tag.c.repository_id == repository_id))


def set_attributes(tx: Tx, repository_id: int, name: str, changes: Mapping[str, bool]) -> None:
    tx.execute(update(tag).where(_here(repository_id, name)).values(**changes, updated_at=tx.now_us))


def list_of_digest(tx: Tx, repository_id: int, digest: Digest) -> list[Tag]:
    """Every tag that names this manifest, by name."""
    rows = tx.execute(
        select(tag).where(tag.c.repository_id == repository_id, tag.c.digest == digest.stored).order_by(tag.c.name)
    )
    return [_tag(row) for row in rows]


def list_names(tx: Tx, repository_id: int, after: str, limit: int, *, hide_quarantined: bool = False) -> list[str]:
    """Listed ones, by bytes, beginning after `after`."""
    statement = _RELEASED_NAMES if hide_quarantined else _NAMES
    return [row.name for row in tx.run(statement, {"repository": repository_id, "after": after, "limit": limit})]


def list_brief(tx: Tx, repository_id: int) -> list[tuple[str, str]]:
    """(name, digest) of all by name: as little as can be, where there may be many."""
    rows = tx.execute(select(tag.c.name, tag.c.digest).where(tag.c.repository_id == repository_id).order_by(tag.c.name))
    return [(row.name, text_of_stored(row.digest)) for row in rows]


def find_locked(tx: Tx, repository_id: int) -> Tag | None:
    """One that may not be deleted."""
    is_locked = or_(tag.c.delete_enabled.is_(False), tag.c.write_enabled.is_(False))
    row = tx.execute(select(tag).where(tag.c.repository_id == repository_id, is_locked).limit(1)).first()
    return None if row is None else _tag(row)


def list_page(
    tx: Tx,
    repository_id: int,
    *,
    last: str,
    limit: int,
    order: OrderBy,
    digest: Digest | None,
    hide_quarantined: bool = False,
) -> list[Tag]:
    """Listed ones; ordered by time, `last` is still the name of the last item seen."""
    statement = select(tag).where(tag.c.repository_id == repository_id, tag.c.list_enabled)
    if hide_quarantined:
        statement = statement.where(~_IS_QUARANTINED)
    if digest is not None:
        statement = statement.where(tag.c.digest == digest.stored)
    if order == "none":
        statement = statement.where(tag.c.name > last).order_by(tag.c.name)
    else:
        statement = _by_time(tx, statement, repository_id, last, order)
    return [_tag(row) for row in tx.execute(statement.limit(limit))]


def _by_time(tx: Tx, statement: Select[Any], repository_id: int, last: str, order: OrderBy) -> Select[Any]:
    """Row values are compared, so that the index gives the page however deep it lies."""
    seen = find(tx, repository_id, last) if last else None
    key = tuple_(tag.c.updated_at, tag.c.name)
    here = None if seen is None else tuple_(seen.updated_us, str(seen.name))
    if order == "timeasc":
        return (statement if here is None else statement.where(key > here)).order_by(tag.c.updated_at, tag.c.name)
    statement = statement if here is None else statement.where(key < here)
    return statement.order_by(tag.c.updated_at.desc(), tag.c.name.desc())


def map_by_digest(tx: Tx, repository_id: int, digests: Sequence[Digest]) -> dict[Digest, list[str]]:
    """The tags of each of these manifests, by name."""
    rows = tx.execute(
        select(tag.c.digest, tag.c.name)
        .where(tag.c.repository_id == repository_id, tag.c.digest.in_([digest.stored for digest in digests]))
        .order_by(tag.c.name)
    )
    names: dict[Digest, list[str]] = {}
    for row in rows:
        names.setdefault(Digest.from_stored(row.digest), []).append(row.name)
    return names


def _here(repository_id: int, name: str) -> ColumnElement[bool]:
    return and_(tag.c.repository_id == repository_id, tag.c.name == name)


def _tag(row: Row[Any]) -> Tag:
    return Tag(
        name=TagName(row.name),
        digest=Digest.from_stored(row.digest),
        created_us=row.created_at,
        updated_us=row.updated_at,
        attributes=attributes_of(row),
    )
