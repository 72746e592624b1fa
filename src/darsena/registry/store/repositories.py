"""Rows of `repository`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from darsena.core.names import RepositoryName
from darsena.db import Prepared, Tx
from darsena.db.dialects import lock_by_name, lock_for_update, prepare_locking
from darsena.registry.model import Attributes, Repository, RepositoryView
from darsena.registry.store import pulls
from darsena.registry.tables import manifest, repository, tag
from darsena.storage.tables import data_key

_BY_NAME = select(repository).where(
    repository.c.registry_uid == bindparam("registry"), repository.c.name == bindparam("which")
)
_FIND = Prepared(_BY_NAME)
_FIND_AND_LOCK = Prepared(prepare_locking(_BY_NAME))
_TOUCH = Prepared(update(repository).where(repository.c.id == bindparam("which")).values(updated_at=bindparam("now")))


def find(tx: Tx, registry_uid: str, name: str, *, lock: bool = False) -> Repository | None:
    """`lock` keeps other writers of this repository out until commit: use cases that check and then write."""
    row = tx.run(_FIND_AND_LOCK if lock else _FIND, {"registry": registry_uid, "which": str(name)}).first()
    return None if row is None else _repository(row)


def lock_registry(tx: Tx, registry_uid: str) -> bool:
    """Keep the registry from being deleted, and from gaining repositories, until commit; whether it is still there.

    It is there as long as its data key is.
    """
    lock_by_name(tx.connection, f"repositories:{registry_uid}")
    return tx.execute(select(data_key.c.owner).where(data_key.c.owner == registry_uid)).first() is not None


def insert_new(tx: Tx, registry_uid: str, name: RepositoryName) -> Repository:
    """Under `lock_registry`, or two writers would make it twice."""
    values = {
        "registry_uid": registry_uid,
        "name": str(name),
        "created_at": tx.now_us,
        "updated_at": tx.now_us,
        "read_enabled": True,
        "write_enabled": True,
        "delete_enabled": True,
        "list_enabled": True,
    }
    return _repository(tx.execute(insert(repository).values(values).returning(repository)).one())


def touch(tx: Tx, repository_id: int) -> None:
    tx.run(_TOUCH, {"which": repository_id, "now": tx.now_us})


def set_attributes(tx: Tx, repository_id: int, changes: Mapping[str, bool]) -> None:
    tx.execute(update(repository).where(repository.c.id == repository_id).values(**changes, updated_at=tx.now_us))


def remove(tx: Tx, repository_id: int) -> None:
    """Last of what belongs to it."""
    pulls.remove_all(tx, repository_id)
    tx.execute(delete(repository).where(repository.c.id == repository_id))


def list_names(tx: Tx, registry_uid: str, after: str, limit: int) -> list[str]:
    """Listed ones only, by bytes, beginning after `after`."""
    rows = tx.execute(
        select(repository.c.name)
        .where(repository.c.registry_uid == registry_uid, repository.c.name > after, repository.c.list_enabled)
        .order_by(repository.c.name)
        .limit(limit)
    )
    return [row.name for row in rows]


def lock_all(tx: Tx, registry_uid: str) -> list[int]:
    """The ids of all, each locked against other writers."""
    statement = select(repository.c.id).where(repository.c.registry_uid == registry_uid).order_by(repository.c.id)
    return list(tx.execute(lock_for_update(tx.dialect, statement)).scalars())


def view(tx: Tx, found: Repository) -> RepositoryView:
    """With its counts of manifests and tags."""
    manifests = select(func.count()).select_from(manifest).where(manifest.c.repository_id == found.id)
    tags = select(func.count()).select_from(tag).where(tag.c.repository_id == found.id)
    return RepositoryView(
        repository=found,
        manifest_count=tx.execute(manifests).scalar_one(),
        tag_count=tx.execute(tags).scalar_one(),
        pulls=pulls.find(tx, found.id, pulls.WHOLE),
    )


def attributes_of(row: Row[Any]) -> Attributes:
    return Attributes(
        read_enabled=row.read_enabled,
        write_enabled=row.write_enabled,
        delete_enabled=row.delete_enabled,
        list_enabled=row.list_enabled,
    )


def _repository(row: Row[Any]) -> Repository:
    return Repository(
        id=row.id,
        registry_uid=row.registry_uid,
        name=RepositoryName(row.name),
        created_us=row.created_at,
        updated_us=row.updated_at,
        attributes=attributes_of(row),
    )
