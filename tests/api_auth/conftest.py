"""The outer edge in process, with the token service behind login servers and the directory behind the control host."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from darsena.api.directory import DirectoryEdge
from darsena.api.edge import Edge, Hosts
from darsena.api.oauth2 import OAuth2Edge
from darsena.api.router import Router
from darsena.api.v2.login_server import LoginServerEdge
from darsena.db import Database
from darsena.identity.model import RegistryFacts
from darsena.identity.owner import NewServicePrincipal
from darsena.identity.room import IdentityRoom, make_identity
from darsena.registry.service import RegistryService
from darsena.storage import Keyring, RootKeyFile
from darsena.testing.memory_storage import MemoryStorage

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"
CONTROL = "localhost:8443"
SUFFIX = ".azurecr.localhost:8443"

Fields = Mapping[str, str] | Sequence[tuple[str, str]]


def make_facts(name: str, **changes: Any) -> RegistryFacts:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g"
    values: dict[str, Any] = {
        "uid": f"{name:0<32}"[:32].encode().hex()[:32],
        "name": name,
        "login_server": f"{name.lower()}{SUFFIX}",
        "subscription_id": SUBSCRIPTION,
        "resource_group": "g",
        "resource_id": f"{group}/providers/Microsoft.ContainerRegistry/registries/{name}",
        "region": "westeurope",
        "admin_enabled": True,
        **changes,
    }
    return RegistryFacts(**values)


FACTS = {
    facts.login_server: facts
    for facts in (
        make_facts("regone"),
        make_facts("regtwo"),
        make_facts("public", anonymous_pull=True),
        make_facts("closed", arm_audience_allowed=False, admin_enabled=False),
    )
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    @property
    def claims(self) -> dict[str, Any]:
        """Of the token in the answer."""
        body = self.json
        part = (body.get("access_token") or body["refresh_token"]).split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    @property
    def access(self) -> dict[str, set[str]]:
        return {f"{entry['type']}:{entry['name']}": set(entry["actions"]) for entry in self.claims["access"]}


@dataclass
class Server:
    identity: IdentityRoom
    db: Database
    owner: NewServicePrincipal
    edge: Edge = field(init=False)

    def __post_init__(self) -> None:
        room = self.identity
        directory = DirectoryEdge(room, tenant_id=TENANT, control_url=f"https://{CONTROL}")
        self.edge = Edge(
            hosts=Hosts(
                control=frozenset({CONTROL}),
                blob=frozenset(),
                login_server_suffix=SUFFIX,
                control_name=CONTROL,
            ),
            find_registry=FACTS.get,
            login_server=self._make_login_server(),
            control=Router(directory.routes, ignore_case=True).dispatch,
            blob=Router([]).dispatch,
            log_requests="none",
        )

    def _make_login_server(self) -> LoginServerEdge:
        room = self.identity
        oauth2 = OAuth2Edge(room.authenticator, room.tokens, self.db.clock)
        registry = RegistryService(self.db, MemoryStorage(self.db.clock), room.keyring)
        return LoginServerEdge(
            registry, room.authenticator, Router(oauth2.routes).dispatch, lambda _host, _address: None
        )

    async def send(
        self,
        method: str,
        host: str,
        target: str,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        address: str = "10.0.0.1",
    ) -> Answer:
        path, _, query = target.partition("?")
        sent: list[tuple[bytes, bytes]] = [(b"host", host.encode()), *headers]
        if method == "POST":
            sent.append((b"content-length", str(len(body)).encode()))
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": sent,
            "client": (address, 1),
        }
        answered: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            answered.append(message)

        await self.edge(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in answered[1:])
        found = {name.decode(): value.decode("latin-1") for name, value in answered[0]["headers"]}
        return Answer(answered[0]["status"], found, content)

    # --- what clients do ------------------------------------------------------------------------------------------

    async def post(self, host: str, path: str, fields: Fields, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
        return await self.send("POST", host, path, urlencode(fields).encode(), headers)

    async def get_token(self, name: str, query: str = "", user: str | None = None, password: str = "") -> Answer:
        headers = [] if user is None else [basic(user, password)]
        return await self.send("GET", f"{name}{SUFFIX}", f"/oauth2/token?service={name}{SUFFIX}&{query}", b"", headers)

    async def post_token(self, name: str, fields: Fields) -> Answer:
        return await self.post(f"{name}{SUFFIX}", "/oauth2/token", fields)

    async def exchange(self, name: str, fields: Fields) -> Answer:
        return await self.post(f"{name}{SUFFIX}", "/oauth2/exchange", fields)

    async def sign_in(self, scope: str = f"https://{CONTROL}//.default", path: str = "/adfs/oauth2/token") -> str:
        fields = {"grant_type": "client_credentials", "scope": scope, **self.client}
        return (await self.post(CONTROL, path, fields)).json["access_token"]

    async def refresh(self, name: str = "regone") -> str:
        fields = {"grant_type": "access_token", "service": f"{name}{SUFFIX}", "access_token": await self.sign_in()}
        return (await self.exchange(name, fields)).json["refresh_token"]

    def admin_password(self, name: str = "regone") -> str:
        uid = FACTS[f"{name}{SUFFIX}"].uid
        self.db.transact_sync(self.identity.passwords.ensure, uid)
        return self.db.read_sync(self.identity.passwords.list, uid)["password"]

    @property
    def client(self) -> dict[str, str]:
        return {"client_id": self.owner.client_id, "client_secret": self.owner.client_secret}


def basic(user: str, password: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(f"{user}:{password}".encode())


@pytest.fixture
async def server(db: Database, tmp_path: Path) -> Server:
    keyring = Keyring(RootKeyFile.create(tmp_path / "keys" / "root.key"), db.read_sync)
    identity = make_identity(
        db, keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, control_url=f"https://{CONTROL}"
    )
    identity.start()
    owner = await identity.owner.ensure()
    assert owner is not None
    return Server(identity, db, owner)
