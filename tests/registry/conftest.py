"""The data plane's use cases on a real database, keyring and local store; one registry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from darsena.core import media_types
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName, TagName
from darsena.db import Database
from darsena.journal import list_entries, registry_stream
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService
from darsena.storage import Keyring, LocalStorage, RootKeyFile

UID = "0123456789abcdef" * 2
REGISTRY = Registry(uid=UID, stream=registry_stream(UID, "local"))
APP = RepositoryName("team/app")
ME = "admin:me"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@dataclass
class Rooms:
    db: Database
    keyring: Keyring
    storage: LocalStorage
    service: RegistryService

    async def push_blob(self, content: bytes, repository: RepositoryName = APP) -> Digest:
        digest = Digest.of(content)
        await self.service.uploading.put(REGISTRY, repository, ME, chunks(content), digest)
        return digest

    async def push_image(
        self, tag: str | None, *contents: bytes, repository: RepositoryName = APP, **more: Any
    ) -> Digest:
        """The first content is the config, the others are layers."""
        for content in contents:
            await self.push_blob(content, repository)
        content = msgspec.json.encode(make_image(*contents, **more))
        reference = Digest.of(content) if tag is None else TagName(tag)
        await self.service.manifests.put(REGISTRY, repository, reference, content, media_types.OCI_MANIFEST)
        return Digest.of(content)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.db.read_sync(list_entries, REGISTRY.stream, after=0)]


def make_image(config: bytes, *layers: bytes, **more: Any) -> dict[str, Any]:
    def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}

    return {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": descriptor(config, media_types.OCI_CONFIG),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
        **more,
    }


def open_rooms(db: Database, data: Path) -> Rooms:
    key = data / "keys" / "root.key"
    keyring = Keyring(RootKeyFile.load(key) if key.exists() else RootKeyFile.create(key), db.read_sync)
    db.transact_sync(keyring.create, UID)
    storage = LocalStorage(data, keyring)
    return Rooms(db, keyring, storage, RegistryService(db, storage, keyring))


@pytest.fixture
async def rooms(db: Database, tmp_path: Path) -> AsyncIterator[Rooms]:
    made = open_rooms(db, tmp_path / "data")
    yield made
    await made.storage.close()
