"""A registry on real rooms that is pushed to, deleted from and collected, with time that is told."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
from sqlalchemy import text

from darsena.core import media_types
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName, TagName
from darsena.db import Database, Tx
from darsena.journal import list_entries, registry_stream
from darsena.registry.fsck import Fsck
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.gc import GarbageCollector
from darsena.registry.maintenance import Maintenance
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService
from darsena.storage import Keyring, LocalStorage
from darsena.testing import FakeClock

UID, OTHER_UID = "a" * 32, "b" * 32
REGISTRY = Registry(uid=UID, stream=registry_stream(UID, "local"))
OTHER = Registry(uid=OTHER_UID, stream=registry_stream(OTHER_UID, "local"))
PRINCIPAL = "user:1"
GRACE_S = 3600.0

CONFIG = msgspec.json.encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}})


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


@dataclass
class World:
    db: Database
    clock: FakeClock
    storage: LocalStorage
    keyring: Keyring
    service: RegistryService
    gc: GarbageCollector
    maintenance: Maintenance

    # --- pushing --------------------------------------------------------------------------------------------------

    async def blob(self, repository: str, content: bytes, registry: Registry = REGISTRY) -> Digest:
        digest = Digest.of(content)
        await self.service.uploading.put(registry, RepositoryName(repository), PRINCIPAL, chunks(content), digest)
        return digest

    async def manifest(self, repository: str, document: dict[str, object], tag: str | None = None) -> Digest:
        content = msgspec.json.encode(document)
        digest = Digest.of(content)
        reference = digest if tag is None else TagName(tag)
        media_type = str(document["mediaType"])
        await self.service.manifests.put(REGISTRY, RepositoryName(repository), reference, content, media_type)
        return digest

    async def image(self, repository: str, tag: str | None, *layers: bytes, subject: Digest | None = None) -> Digest:
        for content in (CONFIG, *layers):
            await self.blob(repository, content)
        return await self.manifest(repository, document_of(*layers, subject=subject), tag)

    async def delete(self, repository: str, digest: Digest) -> None:
        await self.service.deleting.delete_manifest(REGISTRY, RepositoryName(repository), digest)

    async def size(self, repository: str, digest: Digest) -> int:
        return await self.service.manifests.get_blob_size(REGISTRY, RepositoryName(repository), digest)

    async def read(self, digest: Digest, registry: Registry = REGISTRY) -> bytes:
        return b"".join([chunk async for chunk in self.storage.blobs.read(registry.uid, digest)])

    async def stored(self) -> set[Digest]:
        return {digest async for digest, _ in self.storage.blobs.list(UID)}

    # --- collecting -----------------------------------------------------------------------------------------------

    async def run_gc(self, grace_s: float | None = None) -> None:
        await self.gc.start(None, grace_s)
        assert await self.gc.run_due()

    async def collect(self) -> None:
        """Two runs, so far apart that everything that is garbage now is gone after them."""
        for _ in range(2):
            self.clock.advance(GRACE_S + 10)
            await self.run_gc()

    async def findings(self, *, repair: bool = False) -> list[Finding]:
        return [finding async for finding in self.maintenance.check(None, Examined(), repair=repair)]

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.db.read_sync(list_entries, REGISTRY.stream, after=0, limit=100_000)]

    def damage(self, statement: str, **values: object) -> None:
        """Write what no use case would."""

        def write(tx: Tx) -> None:
            assert tx.connection.execute(text(statement), values).rowcount > 0

        self.db.transact_sync(write)


def document_of(*layers: bytes, subject: Digest | None = None) -> dict[str, object]:
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": _descriptor(media_types.OCI_CONFIG, CONFIG),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer) for layer in layers],
    }
    if subject is not None:
        document["subject"] = {"mediaType": media_types.OCI_MANIFEST, "digest": str(subject), "size": 1}
    return document


def index_of(*children: Digest) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [{"mediaType": media_types.OCI_MANIFEST, "digest": str(child), "size": 1} for child in children],
    }


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def make_world(db: Database, clock: FakeClock, storage: LocalStorage, keyring: Keyring) -> World:
    async def list_registries() -> list[Registry]:
        return [REGISTRY, OTHER]

    gc = GarbageCollector(db, storage, list_registries, grace_s=GRACE_S)
    fsck = Fsck(db, storage, keyring, storage.registries)
    maintenance = Maintenance(db=db, gc=gc, fsck=fsck, list_registries=list_registries)
    return World(db, clock, storage, keyring, RegistryService(db, storage, keyring), gc, maintenance)
