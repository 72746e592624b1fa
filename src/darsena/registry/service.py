"""The data plane's use cases, together as the composition root makes them."""

from __future__ import annotations

from darsena.db import Database, Tx
from darsena.identity.model import RegistryFacts
from darsena.journal import registry_stream
from darsena.registry.catalog import Catalog
from darsena.registry.deleting import Deleting
from darsena.registry.manifests import Manifests
from darsena.registry.model import Registry
from darsena.registry.pulls import PullCounter
from darsena.registry.store import repositories
from darsena.registry.uploading import Uploading
from darsena.storage.keyring import Keyring
from darsena.storage.port import Storage


class RegistryService:
    def __init__(self, db: Database, storage: Storage, keyring: Keyring) -> None:
        self.clock = db.clock
        self.blobs = storage.blobs
        self.uploading = Uploading(db, storage.uploads, storage.blobs, keyring)
        self.manifests = Manifests(db, storage.blobs, keyring)
        self.catalog = Catalog(db, keyring)
        self.deleting = Deleting(db)
        self.pulls = PullCounter(db)


def to_registry(facts: RegistryFacts) -> Registry:
    return Registry(
        uid=facts.uid,
        stream=registry_stream(facts.uid, facts.region),
        quarantine=facts.quarantine,
        storage_limit_bytes=facts.storage_limit_bytes,
    )


def list_repository_names(tx: Tx, registry_uid: str, limit: int) -> list[str]:
    """The first so many: for base images that stand in for well-known ones."""
    return repositories.list_names(tx, registry_uid, "", limit)
