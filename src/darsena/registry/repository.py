"""The repository that a push goes to: made on its first push, refused where it is locked."""

from __future__ import annotations

from darsena.core.errors import Locked, ResourceUnknown
from darsena.core.names import RepositoryName
from darsena.db import Tx
from darsena.registry.events import RepositoryCreated
from darsena.registry.model import Registry, Repository
from darsena.registry.store import repositories


def ensure_repository(tx: Tx, registry: Registry, name: RepositoryName) -> Repository:
    """The repository, made on its first push, locked against other writers.

    Raises Locked, and ResourceUnknown when the registry was deleted meanwhile.
    """
    found = repositories.find(tx, registry.uid, name, lock=True)
    if found is None:
        found = _create_repository(tx, registry, name)
    check_writable(found)
    return found


def _create_repository(tx: Tx, registry: Registry, name: RepositoryName) -> Repository:
    if not repositories.lock_registry(tx, registry.uid):
        raise ResourceUnknown("the registry was deleted")
    found = repositories.find(tx, registry.uid, name, lock=True)  # made while we waited for the lock
    if found is None:
        found = repositories.insert_new(tx, registry.uid, name)
        tx.emit(registry.stream, RepositoryCreated(repository=name))
    return found


def check_writable(repository: Repository | None) -> None:
    if repository is not None and not repository.attributes.write_enabled:
        raise Locked(f"the repository {repository.name} is locked against writing (writeEnabled is false)")
