"""A server's sign-in, whole: the outer edge, the login server and the directory over real identity, called as ASGI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from darsena.identity.roles import Role
from darsena.identity.room import IdentityRoom, make_identity
from darsena.registry.service import RegistryService
from darsena.storage import Keyring, RootKeyFile
from darsena.testing import FakeClock
from darsena.testing.memory_storage import MemoryStorage
from identity.values import CONTROL_URL, FACTS, OTHER, SCOPE, SUBSCRIPTION, TENANT, read_claims
from principals import Principals

CONTROL_HOST = "localhost:8443"
Form = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    header_list: list[tuple[str, str]]
    content: bytes

    @property
    def headers(self) -> dict[str, str]:
        """Each as often as it came, to notice what comes twice."""
        found: dict[str, str] = {}
        for name, value in self.header_list:
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    @property
    def code(self) -> str:
        """The first error's, of a login server."""
        return self.json["errors"][0]["code"]

    @property
    def access(self) -> dict[str, list[str]]:
        """What the access token in the answer grants: actions by `type:name`."""
        assert self.status == 200, self.content
        return {
            f"{entry['type']}:{entry['name']}": entry["actions"]
            for entry in read_claims(self.json["access_token"])["access"]
        }


@dataclass
class Server:
    identity: IdentityRoom
    db: Database
    clock: FakeClock
    edge: Edge
    registries: dict[str, RegistryFacts]
    host: str = FACTS.login_server

    def change(self, **changes: Any) -> RegistryFacts:
        """The first registry's facts as a change of it would leave them."""
        facts = self.registries[FACTS.login_server]
        facts = replace(facts, version=facts.version + 1, **changes)
        self.registries[FACTS.login_server] = facts
        return facts

    async def __call__(
        self,
        method: str,
        target: str,
        *,
        form: Form | None = None,
        body: bytes = b"",
        authorization: bytes | None = None,
        host: str | None = None,
        address: str = "10.0.0.1",
    ) -> Answer:
        path, _, query = target.partition("?")
        sent_body = urlencode(form).encode() if form is not None else body
        headers = [(b"host", (host or self.host).encode()), (b"content-length", str(len(sent_body)).encode())]
        if authorization is not None:
            headers.append((b"authorization", authorization))
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": (address, 40000),
        }
        pending = [{"type": "http.request", "body": sent_body, "more_body": False}]
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        await self.edge(scope, receive, send)
        names = [(name.decode(), value.decode()) for name, value in messages[0]["headers"]]
        return Answer(messages[0]["status"], names, b"".join(message["body"] for message in messages[1:]))

    async def directory(self, method: str, target: str, **kwargs: Any) -> Answer:
        return await self(method, target, host=CONTROL_HOST, **kwargs)

    # --- identities -------------------------------------------------------------------------------------------------

    async def principal(self, role: Role | None = None, scope: str = SCOPE) -> NewServicePrincipal:
        made = await Principals(self.identity).create_service_principal(role.name if role else "nobody")
        if role is not None:
            await Principals(self.identity).assign_role(made.principal.object_id, role.id, scope)
        return made

    def admin(self, facts: RegistryFacts = FACTS) -> tuple[str, str]:
        """(user name, password) of the registry's admin user."""
        self.db.transact_sync(self.identity.passwords.ensure, facts.uid)
        return facts.name.lower(), self.db.read_sync(self.identity.passwords.list, facts.uid)["password"]

    async def directory_token(self, made: NewServicePrincipal, resource: str = f"{CONTROL_URL}/") -> str:
        answer = await self.directory(
            "POST",
            "/adfs/oauth2/token",
            form={
                "grant_type": "client_credentials",
                "client_id": made.client_id,
                "client_secret": made.client_secret,
                "scope": f"{resource}/.default",
            },
        )
        assert answer.status == 200, answer.content
        return answer.json["access_token"]

    async def exchange(self, token: str, **fields: str) -> Answer:
        values = {"grant_type": "access_token", "service": self.host, "access_token": token, **fields}
        return await self("POST", "/oauth2/exchange", form=values)

    async def refresh_token(self, made: NewServicePrincipal) -> str:
        return (await self.exchange(await self.directory_token(made))).json["refresh_token"]


@pytest.fixture
def server(db: Database, clock: FakeClock, tmp_path: Path) -> Server:
    keyring = Keyring(RootKeyFile.create(tmp_path / "keys" / "root.key"), db.read_sync)
    identity = make_identity(db, keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, control_url=CONTROL_URL)
    identity.start()
    for facts in (FACTS, OTHER):
        db.transact_sync(keyring.create, facts.uid)
    registries = {facts.login_server: facts for facts in (FACTS, OTHER)}
    oauth2 = OAuth2Edge(identity.authenticator, identity.tokens, clock)
    directory = DirectoryEdge(identity, tenant_id=TENANT, control_url=CONTROL_URL)
    service = RegistryService(db, MemoryStorage(clock), keyring)
    login_server = LoginServerEdge(
        service, identity.authenticator, Router(oauth2.routes).dispatch, lambda _host, _address: None
    )
    hosts = Hosts(
        control=frozenset({CONTROL_HOST}),
        blob=frozenset(),
        login_server_suffix=".azurecr.localhost:8443",
        control_name=CONTROL_HOST,
    )
    edge = Edge(
        hosts=hosts,
        find_registry=registries.get,
        login_server=login_server,
        control=Router(directory.routes, ignore_case=True).dispatch,
        blob=Router([]).dispatch,
        log_requests="none",
    )
    return Server(identity, db, clock, edge, registries)
