"""The ARM edge in process: requests go through the route table as on the control host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from darsena.api.arm import ArmEdge
from darsena.api.http import Request, send_response
from darsena.api.router import Router
from darsena.core.errors import AccessDenied, Unauthenticated
from darsena.db import Database, Tx
from darsena.identity.model import Principal
from darsena.resources.naming import LoginServers
from darsena.resources.service import ResourceService

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"
CONTROL = "https://localhost:8443"


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
        return await self._send(method, path, search, sent, self.token if token == "" else token, headers or {})

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
        }
        request = Request(scope, receive, send)
        request.host = self.host
        await send_response(request, await self.router.dispatch(request), send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(message["body"] for message in sent[1:]))


@dataclass
class Gate:
    """Tokens are names; each has rights on scopes."""

    rights: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    async def authenticate_arm(self, authorization: bytes | None) -> Principal:
        name = (authorization or b"").decode().removeprefix("Bearer ")
        if name not in self.rights:
            raise Unauthenticated("Authentication failed.")
        return Principal(
            id=len(name),
            object_id="0b1f6471-1bf0-4dda-aec3-cb9272f09590",
            kind="service_principal" if name == "owner" else "user",
            name=f"{name}@example.com",
            client_id=f"{name}-client" if name == "owner" else None,
            tenant_id=TENANT,
            version=1,
        )

    async def authorize_arm(self, principal: Principal, action: str, scope: str) -> None:
        for allowed, prefix in self.rights[principal.name.partition("@")[0]]:
            inside = scope.lower() == prefix.lower() or scope.lower().startswith(prefix.lower().rstrip("/") + "/")
            if inside and (allowed == "*" or action.lower().endswith(allowed.lower())):
                return
        raise AccessDenied(f"The client '{principal.name}' may not {action} over {scope}")


@dataclass
class Keys:
    def create(self, tx: Tx, owner: str) -> None: ...
    def destroy(self, tx: Tx, owner: str) -> None: ...


@dataclass
class Passwords:
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    made: int = 0

    def ensure(self, tx: Tx, registry_uid: str) -> None:
        self.values.setdefault(registry_uid, {"password": self._make(), "password2": self._make()})

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
def gate() -> Gate:
    subscription = f"/subscriptions/{SUBSCRIPTION}"
    return Gate(
        {
            "owner": [("*", subscription)],
            "reader": [("/read", subscription)],
            "group1": [("*", f"{subscription}/resourceGroups/rg1")],
            "reg1": [
                ("/read", f"{subscription}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries/reg10")
            ],
            "nobody": [],
        }
    )


@pytest.fixture
def edge(db: Database, gate: Gate) -> ArmEdge:
    service = ResourceService(
        db,
        login_servers=LoginServers(domain="azurecr.localhost:8443", tenant_id=TENANT),
        keys=Keys(),
        passwords=Passwords(),
    )
    return ArmEdge(resources=service, gate=gate, control_url=CONTROL, tenant_id=TENANT, subscription_id=SUBSCRIPTION)


@pytest.fixture
def arm(edge: ArmEdge) -> Arm:
    return Arm(edge)


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
