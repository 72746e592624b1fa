"""A whole server in process: every room on a data folder of its own, behind the outer edge, called as ASGI."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from darsena.api.edge import Edge
from darsena.app import make_edge
from darsena.local.owner import ensure_owner_file
from darsena.local.prepare import prepare
from darsena.local.rooms import Rooms, open_rooms

CONTROL = "localhost:8443"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    @property
    def code(self) -> str:
        return self.json["error"]["code"]


@dataclass
class Whole:
    rooms: Rooms
    edge: Edge
    token: str = ""
    """The owner's, for ARM."""
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.rooms.stamp.subscription_id}"

    @property
    def registries(self) -> str:
        return f"{self.subscription}/resourceGroups/rg1/providers/Microsoft.ContainerRegistry/registries"

    async def __call__(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        authorization: str | None = "",
        host: str = CONTROL,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """`authorization` "" stands for the owner's."""
        path, _, query = target.partition("?")
        sent = raw if raw is not None else (b"" if body is None else msgspec.json.encode(body))
        lines = [(b"host", host.encode()), (b"content-length", str(len(sent)).encode())]
        lines += [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if authorization == "":
            authorization = f"Bearer {self.token}"
        if authorization is not None:
            lines.append((b"authorization", authorization.encode("latin-1")))
        raw_path = quote(path, safe="/%:()*'!$&+,;=@~")
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": raw_path,
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": lines,
            "client": ("192.0.2.7", 40000),
        }
        pending = [{"type": "http.request", "body": sent, "more_body": False}]
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return pending.pop() if pending else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        await self.edge(scope, receive, send)
        found = {name.decode(): value.decode("latin-1") for name, value in messages[0]["headers"]}
        return Answer(messages[0]["status"], found, b"".join(message.get("body", b"") for message in messages[1:]))

    async def arm(self, method: str, target: str, body: object = None, **more: Any) -> Answer:
        """With an api-version."""
        return await self(method, f"{target}{'&' if '?' in target else '?'}api-version=2025-11-01", body, **more)

    async def sign_in(self, client_id: str, client_secret: str, resource: str = f"https://{CONTROL}/") -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": f"{resource}/.default",
        }
        answer = await self("POST", "/adfs/oauth2/token", raw=urlencode(form).encode(), authorization=None)
        assert answer.status == 200, answer.content
        return answer.json["access_token"]

    async def seed(self, registry: str = "reg10", sku: str = "Basic") -> None:
        """The group rg1 with a registry."""
        body = {"location": "westus", "sku": {"name": sku}, "properties": {"adminUserEnabled": True}}
        assert (await self.arm("PUT", f"{self.subscription}/resourceGroups/rg1", {"location": "westus"})).status < 300
        assert (await self.arm("PUT", f"{self.registries}/{registry}", body)).status < 300


@pytest.fixture(scope="session")
def data_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was started once: keys and certificates cost more than a test."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    prepare(folder, listen="127.0.0.1:8443", domain="")
    rooms = open_rooms(folder, {})
    rooms.db.close()
    return folder


@pytest.fixture
async def whole(data_template: Path, tmp_path: Path) -> AsyncIterator[Whole]:
    data = tmp_path / "data"
    shutil.copytree(data_template, data)
    rooms = open_rooms(data, {})
    await ensure_owner_file(rooms.identity.owner, rooms.folder, rooms.marker, rooms.stamp)
    made = Whole(rooms, make_edge(rooms))
    owner = json.loads(rooms.folder.owner.read_bytes())
    made.token = await made.sign_in(owner["client_id"], owner["client_secret"])
    yield made
    await rooms.storage.close()
    rooms.db.close()


@pytest.fixture
def whole_now(data_template: Path, tmp_path: Path) -> Iterator[Whole]:
    """`whole` for tests that run a loop of their own."""
    data = tmp_path / "data"
    shutil.copytree(data_template, data)
    rooms = open_rooms(data, {})
    made = Whole(rooms, make_edge(rooms))

    async def begin() -> None:
        await ensure_owner_file(rooms.identity.owner, rooms.folder, rooms.marker, rooms.stamp)
        owner = json.loads(rooms.folder.owner.read_bytes())
        made.token = await made.sign_in(owner["client_id"], owner["client_secret"])
        await made.seed()

    asyncio.run(begin())
    yield made
    asyncio.run(rooms.storage.close())
    rooms.db.close()
