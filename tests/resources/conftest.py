"""A control plane on an empty database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

from darsena.db import Database, Tx
from darsena.identity.admin import AdminPasswords
from darsena.identity.managed import ManagedIdentities
from darsena.journal import Entry, list_entries, subscription_stream
from darsena.resources.model import Author, Group, PropertiesChange, RegistryPatch, RegistryPut, RegistryRow
from darsena.resources.naming import LoginServers
from darsena.resources.service import ResourceService
from darsena.resources.tiers import SkuName
from darsena.storage import SYSTEM, Keyring, RootKeyFile
from darsena.storage.tables import data_key

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"


@pytest.fixture
def keyring(db: Database, tmp_path: Path) -> Keyring:
    ring = Keyring(RootKeyFile.create(tmp_path / "keys" / "root.key"), db.read_sync)
    db.transact_sync(ring.create, SYSTEM)
    return ring


@pytest.fixture
def passwords(keyring: Keyring) -> AdminPasswords:
    return AdminPasswords(keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, on_changed=lambda: None)


@pytest.fixture
def owners(db: Database) -> Callable[[], set[str]]:
    """Whose data keys there are: registries' uids."""

    def read(tx: Tx) -> set[str]:
        return {row.owner for row in tx.execute(select(data_key.c.owner))} - {SYSTEM}

    return lambda: db.read_sync(read)


@pytest.fixture
def dropped() -> list[str]:
    """Uids of registries whose deletion other rooms were told of."""
    return []


@pytest.fixture
def sizes() -> dict[str, int]:
    """Bytes that registries hold, by uid."""
    return {}


@pytest.fixture
def scopes() -> list[str]:
    """ARM ids that were deleted."""
    return []


@pytest.fixture
def service(
    db: Database,
    keyring: Keyring,
    passwords: AdminPasswords,
    dropped: list[str],
    scopes: list[str],
    sizes: dict[str, int],
) -> ResourceService:
    return ResourceService(
        db,
        login_servers=LoginServers(domain="azurecr.localhost:8443", tenant_id=TENANT),
        keys=keyring,
        passwords=passwords,
        principals=ManagedIdentities(
            tenant_id=TENANT, stream=subscription_stream(SUBSCRIPTION), on_changed=lambda: None
        ),
        on_registry_deleted=(lambda tx, uid: dropped.append(uid),),
        on_scope_deleted=(lambda tx, scope: scopes.append(scope),),
        counters={"Size": lambda tx, uid: sizes.get(uid, 0)},
    )


@pytest.fixture
def author() -> Author:
    return Author(name="ana@example.com", kind="User")


@pytest.fixture
def journal(db: Database) -> Callable[[], list[Entry]]:
    """Entries of the subscription's stream since the last call."""
    seen = 0

    def read() -> list[Entry]:
        nonlocal seen
        entries = db.read_sync(list_entries, subscription_stream(SUBSCRIPTION), after=seen)
        seen = entries[-1].seq if entries else seen
        return entries

    return read


@pytest.fixture
def subscription() -> str:
    return SUBSCRIPTION


@dataclass
class Maker:
    """Makes groups and registries as if by a request."""

    service: ResourceService
    author: Author

    async def group(self, name: str = "rg1", location: str = "westus") -> Group:
        return (await self.service.put_group(SUBSCRIPTION, name, location=location))[0]

    async def registry(
        self,
        name: str = "reg10",
        *,
        group: str = "rg1",
        sku: SkuName = "Basic",
        location: str = "westus",
        **properties: object,
    ) -> RegistryRow:
        body = RegistryPut(location=location, sku=sku, properties=cast("PropertiesChange", properties))
        return (await self.service.put_registry(SUBSCRIPTION, group, name, body, author=self.author))[0]

    async def patch(
        self, name: str = "reg10", *, group: str = "rg1", sku: SkuName | None = None, **properties: object
    ) -> RegistryRow:
        body = RegistryPatch(sku=sku, properties=cast("PropertiesChange", properties))
        return await self.service.patch_registry(SUBSCRIPTION, group, name, body, author=self.author)


@pytest.fixture
def make(service: ResourceService, author: Author) -> Maker:
    return Maker(service, author)
