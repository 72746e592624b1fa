"""The ARM edge in process: requests go through the route table as on the control host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import Table, select

from darsena.api.arm import ArmEdge
from darsena.api.arm.activity import list_activity_routes
from darsena.api.arm.children import list_child_routes
from darsena.api.arm.roles import list_role_routes
from darsena.api.arm.scope_maps import list_scope_map_routes
from darsena.api.arm.tokens import list_token_routes
from darsena.api.held import HELD
from darsena.api.http import Request, send_response
from darsena.api.problems import arm_response
from darsena.api.router import Router
from darsena.core.errors import Problem
from darsena.db import Database, metadata
from darsena.identity import tables as identity_tables
from darsena.identity.model import Principal
from darsena.identity.roles import ACR_PULL, OWNER, READER, Role
from darsena.identity.room import IdentityRoom, make_identity
from darsena.identity.token_store import count_scope_maps, count_tokens
from darsena.journal import append
from darsena.resources.ids import registry_path
from darsena.resources.naming import LoginServers
from darsena.resources.scope_maps import ScopeMaps
from darsena.resources.service import ResourceService
from darsena.resources.tokens import RepositoryTokens
from darsena.storage import Keyring, RootKeyFile
from darsena.storage.tables import data_key
from darsena.testing import FakeClock
from principals import Principals

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"
CONTROL = "https://localhost:8443"
ROLES: dict[str, list[tuple[Role, str]]] = {
    "owner": [(OWNER, f"/subscriptions/{SUBSCRIPTION}")],
    "reader": [(READER, f"/subscriptions/{SUBSCRIPTION}")],
    "group1": [(OWNER, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1")],
    "reg1": [(READER, registry_path(SUBSCRIPTION, "rg1", "reg10"))],
    "puller": [(ACR_PULL, registry_path(SUBSCRIPTION, "rg1", "reg10"))],
    "nobody": [],
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
    def error(self) -> dict[str, Any]:
        return self.json["error"]


@dataclass
class Arm:
    """`path` may begin with `{s}` (the subscription), `{g}` (group rg1) or `{r}` (the registries of rg1)."""

    edge: ArmEdge
    people: People
    token: str | None = "owner"
    version: str | None = "2025-11-01"
    host: str = "localhost:8443"
    router: Router = field(init=False)

    def __post_init__(self) -> None:
        self.router = Router(self.edge.routes, ignore_case=True)

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        token: str | None = "",
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Answer:
        subscription = f"/subscriptions/{SUBSCRIPTION}"
        group = f"{subscription}/resourceGroups/rg1"
        registries = f"{group}/providers/Microsoft.ContainerRegistry/registries"
        path = path.replace("{s}", subscription).replace("{g}", group).replace("{r}", registries)
        path, _, search = path.partition("?")
        pairs = [f"{name.replace('_', '$')}={quote(value)}" for name, value in query.items()]
        if self.version is not None and "api-version" not in search:
            pairs.append(f"api-version={self.version}")
        search = "&".join(part for part in (search, *pairs) if part)
        sent = raw if raw is not None else (b"" if body is None else msgspec.json.encode(body))
        name = self.token if token == "" else token
        bearer = None if name is None else await self.people.token(name)
        return await self._send(method, path, search, sent, bearer, headers or {})

    async def _send(
        self, method: str, path: str, search: str, body: bytes, token: str | None, headers: Mapping[str, str]
    ) -> Answer:
        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if token is not None:
            lines.append((b"authorization", f"Bearer {token}".encode()))
        pending = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "method": method,
            "raw_path": quote(path, safe="/%").encode(),
            "headers": lines,
            "query_string": search.encode(),
            "client": ("192.0.2.7", 40000),
        }
        request = Request(scope, receive)
        request.host = self.host
        try:
            response = await self.router.dispatch(request)
        except Problem as problem:  # as the edge around the router renders it
            response = arm_response(problem, request)
        finally:
            HELD.release(request)
        await send_response(request, response, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(message["body"] for message in sent[1:]))


@dataclass
class People:
    """Principals by name, made when they are first asked for, each with its roles; and their ARM tokens."""

    identity: IdentityRoom
    tokens: dict[str, str] = field(default_factory=dict)
    principals: dict[str, Principal] = field(default_factory=dict)

    async def token(self, name: str) -> str:
        if name not in ROLES:
            return name  # no token at all
        if name not in self.tokens:
            self.tokens[name] = await self._sign_in(name)
        return self.tokens[name]

    async def _sign_in(self, name: str) -> str:
        principals = Principals(self.identity)
        made = await principals.create_service_principal(name)
        for role, scope in ROLES[name]:
            await principals.assign_role(made.principal.object_id, role.id, scope)
        found = await self.identity.credentials.check_client(made.client_id, made.client_secret, "127.0.0.1")
        self.principals[name] = found.principal
        tokens = self.identity.tokens
        token, _ = await tokens.issue_directory(found, f"{CONTROL}/", tokens.adfs_issuer)
        return token


@pytest.fixture(scope="session")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[tuple[Table, list[Any]]]]]:
    """A root key, and the rows of keys made under it once: generating them costs more than a test."""
    folder = tmp_path_factory.mktemp("signing")
    db = Database(f"sqlite:///{folder}/keys.db", clock=FakeClock(), before_commit=append)
    tables = [data_key, identity_tables.signing_key, identity_tables.hash_key]
    metadata.create_all(db.engine)
    root_key = folder / "keys" / "root.key"
    make_room(db, RootKeyFile.create(root_key)).start()
    with db.engine.connect() as connection:
        rows = [(table, [dict(row) for row in connection.execute(select(table)).mappings()]) for table in tables]
    yield root_key, rows
    db.close()


def make_room(db: Database, root_key: RootKeyFile) -> IdentityRoom:
    keyring = Keyring(root_key, db.read_sync)
    return make_identity(db, keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, control_url=CONTROL)


@pytest.fixture
def identity(db: Database, signing: tuple[Path, list[tuple[Table, list[Any]]]]) -> IdentityRoom:
    root_key, rows = signing
    with db.engine.begin() as connection:
        for table, values in rows:
            connection.execute(table.insert(), values)
    room = make_room(db, RootKeyFile.load(root_key))
    room.start()
    return room


@pytest.fixture
def people(identity: IdentityRoom) -> People:
    return People(identity)


@pytest.fixture
def edge(db: Database, identity: IdentityRoom) -> ArmEdge:
    service = ResourceService(
        db,
        login_servers=LoginServers(domain="azurecr.localhost:8443", tenant_id=TENANT),
        keys=identity.keyring,
        passwords=identity.passwords,
        principals=identity.managed,
        on_scope_deleted=(identity.roles.forget_scope,),
        counters={"ScopeMaps": count_scope_maps, "Tokens": count_tokens},
    )
    edge = ArmEdge(
        resources=service, gate=identity.arm, control_url=CONTROL, tenant_id=TENANT, subscription_id=SUBSCRIPTION
    )
    edge.routes += [*list_role_routes(edge.context, identity.roles), *list_child_routes(edge.context)]
    edge.routes += list_activity_routes(edge.context)
    scope_maps = ScopeMaps(db, on_changed=identity.holders.forget)
    tokens = RepositoryTokens(db, identity.hasher, tenant_id=TENANT, on_changed=identity.holders.forget)
    edge.routes += [*list_scope_map_routes(edge.context, scope_maps), *list_token_routes(edge.context, tokens)]
    return edge


@pytest.fixture
def arm(edge: ArmEdge, people: People) -> Arm:
    return Arm(edge, people)


@pytest.fixture
async def group(arm: Arm) -> Arm:
    """`arm` with the group rg1 in westus."""
    answer = await arm("PUT", "{g}", {"location": "westus"})
    assert answer.status == 201
    return arm


@pytest.fixture(scope="session")
def acr() -> Path:
    """The reference pages beside the repository."""
    path = Path(__file__).resolve().parents[2].parent / "shared" / "acr"
    if not path.exists():
        pytest.skip("the reference pages are not here")
    return path
