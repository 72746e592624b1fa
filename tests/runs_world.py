"""The inside of a server, as far as runs need it: registries, identity, a store, the tasks room; and its clients."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from darsena.api.held import HELD
from darsena.api.http import Request, send_response
from darsena.api.router import Router
from darsena.db import Database, Tx
from darsena.identity.model import RegistryFacts
from darsena.identity.room import IdentityRoom, make_identity
from darsena.jobs import JobRunner
from darsena.journal import list_entries, registry_stream
from darsena.registry.store import repositories
from darsena.resources.model import Author, RegistryPut, RegistryRow
from darsena.resources.naming import LoginServers
from darsena.resources.service import ResourceService
from darsena.storage import SYSTEM, Keyring, RootKeyFile, Storage
from darsena.tasks.model import Claimant, Ending, Run
from darsena.tasks.orders import RunOrder
from darsena.tasks.requests import parse_request
from darsena.tasks.room import Tasks, make_tasks
from darsena.tasks.wire import RunRequestBody
from darsena.testing import FakeClock
from darsena.testing.memory_storage import MemoryStorage

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"
CONTROL = "https://localhost:8443"
DOMAIN = "azurecr.localhost:8443"
BLOB_URL = f"https://darsena.blob.core.{DOMAIN}"
AUTHOR = Author(name="ana@example.com", kind="User")
CALLER = "5e1f3c1c-2f5a-4f0e-9d0c-6b1a2c3d4e5f"
"""The object id of who schedules."""
TASK = "dmVyc2lvbjogdjEuMS4wCnN0ZXBzOgogIC0gY21kOiBiYXNoIGVjaG8gaGkK"
AGENT = "agent-1"
INFO: dict[str, Any] = {"engine": "podman", "platforms": ["linux/amd64"], "cpu": 2, "faults": []}


async def chunks_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@dataclass
class World:
    db: Database
    clock: FakeClock
    keyring: Keyring
    identity: IdentityRoom
    resources: ResourceService
    storage: Storage
    tasks: Tasks
    now: float = 0.0
    registries: dict[str, RegistryRow] = field(default_factory=dict)

    def pass_time(self, seconds: float) -> None:
        """The wall clock and the monotonic one go together."""
        self.clock.advance(seconds)
        self.now += seconds

    async def registry(self, name: str = "reg10") -> RegistryRow:
        if name not in self.registries:
            await self.resources.put_group(SUBSCRIPTION, "rg1", location="westus")
            body = RegistryPut(location="westus", sku="Basic")
            self.registries[name] = (await self.resources.put_registry(SUBSCRIPTION, "rg1", name, body, author=AUTHOR))[
                0
            ]
        return self.registries[name]

    async def facts(self, name: str = "reg10") -> RegistryFacts:
        return self.resources.facts(await self.registry(name))

    async def schedule(self, registry: str = "reg10", **body: Any) -> Run:
        request = {
            "type": "EncodedTaskRunRequest",
            "encodedTaskContent": TASK,
            "platform": {"os": "linux", "architecture": "amd64"},
            **body,
        }
        parsed = parse_request(msgspec.convert(request, RunRequestBody))
        return await self.tasks.runs.schedule(await self.facts(registry), parsed, AUTHOR, CALLER)

    async def upload(self, registry: str = "reg10", content: bytes = gzip.compress(b"tar")) -> str:
        """An uploaded source's relative path."""
        row = await self.registry(registry)
        url, name = await self.tasks.blobs.create_upload(row.uid)
        parts = urlsplit(url)
        query = dict(pair.split("=", 1) for pair in parts.query.replace("%3A", ":").split("&"))
        container = parts.path.split("/")[1]
        signed = await self.tasks.blobs.check(container, name, query)
        await self.tasks.blobs.put(signed, chunks_of(content))
        return name

    async def hello(
        self, agent: str = AGENT, kept: list[str] | None = None, dead: list[str] | None = None, **info: Any
    ) -> None:
        await self.tasks.agents.hello(agent, "default", INFO | info, kept, dead or [])

    async def find_order(
        self, agent: str = AGENT, *, cpu: int = 2, platforms: tuple[str, ...] = ("linux/amd64",)
    ) -> RunOrder | None:
        claimant = Claimant(agent=agent, pool="default", cpu=cpu, platforms=platforms)
        return await self.tasks.agents.claim(claimant, 0)

    async def claim(self, agent: str = AGENT, *, cpu: int = 2) -> RunOrder:
        order = await self.find_order(agent, cpu=cpu)
        assert order is not None
        return order

    async def finish(self, order: RunOrder, status: Any = "Succeeded", agent: str = AGENT, **ending: Any) -> None:
        await self.tasks.agents.finish(order.run_uid, agent, order.fence, Ending(status=status, **ending))

    async def get(self, run: Run | RunOrder, registry: str = "reg10") -> Run:
        return await self.tasks.runs.get((await self.registry(registry)).uid, run.run_id)

    async def log_of(self, run: Run | RunOrder, registry: str = "reg10") -> bytes:
        row = await self.registry(registry)
        uid = run.uid if isinstance(run, Run) else run.run_uid
        return await self.storage.logs.read(row.uid, uid)

    async def run_jobs(self) -> int:
        return await JobRunner(self.db, self.tasks.retention.list_kinds()).run_due()

    async def kinds(self, registry: str = "reg10") -> list[str]:
        """Kinds of the registry's journal entries."""
        row = await self.registry(registry)
        stream = registry_stream(row.uid, self.resources.facts(row).region)
        return [entry.kind for entry in self.db.read_sync(list_entries, stream, after=0)]


def list_repositories(tx: Tx, registry_uid: str, limit: int) -> list[str]:
    return repositories.list_names(tx, registry_uid, "", limit)


def make_world(db: Database, clock: FakeClock, folder: Path, make_storage: Callable[[Keyring], Storage]) -> World:
    """On an empty database, or on one that an earlier process has left in this folder."""
    key = folder / "keys" / "root.key"
    keyring = Keyring(RootKeyFile.load(key) if key.exists() else RootKeyFile.create(key), db.read_sync)
    identity = make_identity(db, keyring, tenant_id=TENANT, subscription_id=SUBSCRIPTION, control_url=CONTROL)
    db.transact_sync(keyring.create, SYSTEM)
    identity.hasher.ensure_key()  # not identity.start: signing keys take their time, and nobody signs here
    storage = make_storage(keyring)
    made: list[World] = []
    resources = ResourceService(
        db,
        login_servers=LoginServers(domain=DOMAIN, tenant_id=TENANT),
        keys=keyring,
        passwords=identity.passwords,
        principals=identity.managed,
        on_registry_deleted=(lambda tx, uid: made[0].tasks.retention.forget_registry(tx, uid),),
    )
    tasks = make_tasks(
        db,
        sealer=keyring,
        storage=storage,
        registries=resources,
        credentials=identity.runs,
        list_repositories=list_repositories,
        blob_url=BLOB_URL,
        monotonic=lambda: made[0].now if made else 0.0,
    )
    made.append(
        World(db=db, clock=clock, keyring=keyring, identity=identity, resources=resources, storage=storage, tasks=tasks)
    )
    return made[0]


@pytest.fixture
def world(db: Database, clock: FakeClock, tmp_path: Path) -> World:
    return make_world(db, clock, tmp_path, lambda _: MemoryStorage(clock))


# --- HTTP -------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)


async def ask(
    router: Router,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    host: str = "",
    parts: list[bytes] | None = None,
    stays: bool = False,
) -> Answer:
    """One request through the route table. `parts` is a body in pieces; a client that `stays` never goes away."""
    path, _, query = target.partition("?")
    lines = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    pieces = [body] if parts is None else parts
    if method in ("PUT", "POST", "PATCH") and "content-length" not in {name.decode() for name, _ in lines}:
        lines.append((b"content-length", str(sum(len(piece) for piece in pieces)).encode()))
    pending = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not pending and stays:
            await asyncio.Event().wait()
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "method": method,
        "raw_path": quote(path, safe="/%~").encode(),
        "headers": lines,
        "query_string": query.encode(),
    }
    request = Request(scope, receive)
    request.host = host
    request.correlation_id = "5b1f0b0e-0000-4000-8000-000000000000"
    try:
        response = await router.dispatch(request)
    finally:
        HELD.release(request)
    await send_response(request, response, send)
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], names, b"".join(bytes(message["body"]) for message in sent[1:]))
