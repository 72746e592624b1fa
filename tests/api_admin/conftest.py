"""The maintenance API in process, on a registry that has been pushed to, and people with and without rights."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from darsena.api.admin import list_admin_routes
from darsena.api.arm.context import ArmContext
from darsena.api.router import Router
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.db import Database
from darsena.identity.roles import ACR_PULL, OWNER, READER, Role
from darsena.registry.fsck import Fsck
from darsena.registry.gc import GarbageCollector
from darsena.registry.maintenance import Maintenance
from darsena.registry.model import Registry
from darsena.registry.service import RegistryService, to_registry
from darsena.resources.ids import registry_path
from darsena.storage import LocalStorage
from darsena.testing import FakeClock
from principals import Principals
from registry_gc.world import chunks
from runs_world import CONTROL, SUBSCRIPTION, TENANT, Answer, ask
from runs_world import World as Rooms
from runs_world import make_world as make_rooms

NAME = "reg10"
ROLES: dict[str, tuple[Role, str] | None] = {
    "owner": (OWNER, f"/subscriptions/{SUBSCRIPTION}"),
    "reader": (READER, f"/subscriptions/{SUBSCRIPTION}"),
    "registry_owner": (OWNER, registry_path(SUBSCRIPTION, "rg1", NAME)),
    "puller": (ACR_PULL, registry_path(SUBSCRIPTION, "rg1", "reg20")),
    "nobody": None,
}


@dataclass
class Admin:
    rooms: Rooms
    storage: LocalStorage
    service: RegistryService
    maintenance: Maintenance
    router: Router
    registry: Registry
    clock: FakeClock
    tokens: dict[str, str] = field(default_factory=dict)

    async def __call__(
        self, method: str, path: str, body: object | None = None, *, who: str | None = "owner"
    ) -> Answer:
        headers = {} if who is None else {"authorization": f"Bearer {await self.token(who)}"}
        sent = b"" if body is None else msgspec.json.encode(body)
        return await ask(self.router, method, f"/darsena/v1/admin/{path}", sent, headers, stays=True)

    async def lines(self, body: object, *, who: str = "owner") -> list[dict[str, Any]]:
        answer = await self("POST", "fsck", body, who=who)
        assert answer.status == 200, answer.content
        return [msgspec.json.decode(line) for line in answer.content.splitlines()]

    async def token(self, who: str) -> str:
        if who not in self.tokens:
            identity, role = self.rooms.identity, ROLES[who]
            made = await Principals(identity).create_service_principal(who)
            if role is not None:
                await Principals(identity).assign_role(made.principal.object_id, role[0].id, role[1])
            found = await identity.credentials.check_client(made.client_id, made.client_secret, "127.0.0.1")
            issuer = identity.tokens.adfs_issuer
            self.tokens[who], _ = await identity.tokens.issue_directory(found, f"{CONTROL}/", issuer)
        return self.tokens[who]

    async def blob(self, repository: str, content: bytes) -> Digest:
        digest = Digest.of(content)
        name = RepositoryName(repository)
        await self.service.uploading.put(self.registry, name, "user:1", chunks(content), digest)
        return digest


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time.time_ns() // 1000)


@pytest.fixture
async def admin(db: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Admin]:
    made: list[LocalStorage] = []

    def make_storage(keyring: object) -> LocalStorage:
        made.append(LocalStorage(tmp_path / "data", keyring))  # type: ignore[arg-type]
        return made[0]

    rooms = make_rooms(db, clock, tmp_path, make_storage)  # type: ignore[arg-type]
    storage = made[0]
    rooms.identity.start()
    registries = [to_registry(await rooms.facts(name)) for name in (NAME, "reg20")]

    async def list_registries() -> list[Registry]:
        return registries

    maintenance = Maintenance(
        db=db,
        gc=GarbageCollector(db, storage, list_registries),
        fsck=Fsck(db, storage, rooms.keyring, storage.registries),
        list_registries=list_registries,
    )
    context = ArmContext(
        resources=rooms.resources,
        gate=rooms.identity.arm,
        control_url=CONTROL,
        tenant_id=TENANT,
        subscription_id=SUBSCRIPTION,
    )
    router = Router(list_admin_routes(context, maintenance), ignore_case=True)
    service = RegistryService(db, storage, rooms.keyring)
    yield Admin(rooms, storage, service, maintenance, router, registries[0], clock)
    await storage.close()
