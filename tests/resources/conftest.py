"""A control plane on an empty database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from darsena.db import Database, Tx
from darsena.journal import Entry, list_entries, subscription_stream
from darsena.resources.model import Author, Group, PropertiesChange, RegistryPatch, RegistryPut, RegistryRow
from darsena.resources.naming import LoginServers
from darsena.resources.service import ResourceService
from darsena.resources.tiers import SkuName

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"


@dataclass
class Keys:
    owners: set[str] = field(default_factory=set)
    destroyed: set[str] = field(default_factory=set)

    def create(self, tx: Tx, owner: str) -> None:
        self.owners.add(owner)

    def destroy(self, tx: Tx, owner: str) -> None:
        self.owners.discard(owner)
        self.destroyed.add(owner)


@dataclass
class Passwords:
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    made: int = 0

    def ensure(self, tx: Tx, registry_uid: str) -> None:
        if registry_uid not in self.values:
            self.values[registry_uid] = {"password": self._make(), "password2": self._make()}

    def list(self, tx: Tx, registry_uid: str) -> Mapping[str, str]:
        return dict(self.values[registry_uid])

    def regenerate(self, tx: Tx, registry_uid: str, name: str) -> None:
        self.values[registry_uid][name] = self._make()

    def delete(self, tx: Tx, registry_uid: str) -> None:
        self.values.pop(registry_uid, None)

    def _make(self) -> str:
        self.made += 1
        return f"secret-{self.made}"


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords()


@pytest.fixture
def dropped() -> list[str]:
    """Uids of registries whose deletion other rooms were told of."""
    return []


@pytest.fixture
def sizes() -> dict[str, int]:
    """Bytes that registries hold, by uid."""
    return {}


@pytest.fixture
def service(
    db: Database, keys: Keys, passwords: Passwords, dropped: list[str], sizes: dict[str, int]
) -> ResourceService:
    return ResourceService(
        db,
        login_servers=LoginServers(domain="azurecr.localhost:8443", tenant_id=TENANT),
        keys=keys,
        passwords=passwords,
        on_registry_deleted=(lambda tx, uid: dropped.append(uid),),
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
