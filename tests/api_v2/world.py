"""A login server in process on real rooms: the outer edge, identity, the registry, the store in local files.

Every answer is held to what is true of all of them: the common headers, known error codes, no 500, lengths that fit.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from darsena.api.edge import Edge
from darsena.core import media_types
from darsena.db import Database
from darsena.identity.model import RegistryFacts
from darsena.identity.room import IdentityRoom
from darsena.journal import list_entries
from darsena.registry.service import RegistryService, to_registry
from darsena.storage import LocalStorage

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "99999999-2222-4333-8444-555555555555"
SUFFIX = ".azurecr.localhost:8443"
CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
    "UNSUPPORTED", "TOOMANYREQUESTS", "TAG_UNKNOWN", "REGISTRY_DISALLOWED_OPERATION",
}  # fmt: skip
"""The fourteen of the distribution-spec, and ACR's own two."""


def make_facts(name: str, uid: str, **changes: Any) -> RegistryFacts:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g"
    values: dict[str, Any] = {
        "uid": uid * 32,
        "name": name,
        "login_server": f"{name.lower()}{SUFFIX}",
        "subscription_id": SUBSCRIPTION,
        "resource_group": "g",
        "resource_id": f"{group}/providers/Microsoft.ContainerRegistry/registries/{name}",
        "region": "local",
        "admin_enabled": True,
        **changes,
    }
    return RegistryFacts(**values)


REGISTRIES = {facts.name: facts for facts in (make_facts("regone", "a"), make_facts("regtwo", "b"))}


@dataclass(frozen=True)
class Answer:
    method: str
    status: int
    lines: list[tuple[str, str]]
    content: bytes

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.lines)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.json["errors"]]

    @property
    def next(self) -> str | None:
        """The target of the Link, as a client follows it."""
        link = self.headers.get("link")
        if link is None:
            return None
        assert link.startswith("<")
        assert link.endswith('>; rel="next"')
        return link[1:].partition(">")[0]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass(frozen=True)
class Pushed:
    content: bytes
    media_type: str
    digest: str

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


def manifest_of(document: dict[str, Any], media_type: str | None = None) -> Pushed:
    content = msgspec.json.format(msgspec.json.encode(document), indent=3)  # not as an encoder would write it
    return Pushed(content, media_type or document["mediaType"], digest_of(content))


@dataclass
class World:
    db: Database
    storage: LocalStorage
    identity: IdentityRoom
    service: RegistryService
    edge: Edge
    passwords: dict[str, str] = field(default_factory=dict)
    facts: dict[str, RegistryFacts] = field(default_factory=dict)
    """By login server, as the edge finds them."""

    def change(self, **changes: Any) -> None:
        """The first registry as a change of it leaves it."""
        found = self.facts[f"regone{SUFFIX}"]
        self.facts[f"regone{SUFFIX}"] = replace(found, version=found.version + 1, **changes)

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        auth: bytes | bool | None = True,
        registry: str = "regone",
        gone: bool = False,
    ) -> Answer:
        """`auth` True: the registry's admin user. `gone`: the client leaves there, having announced more."""
        pieces = [body] if isinstance(body, bytes) else list(body)
        given = {name.lower(): value for name, value in (headers or {}).items()}
        if method in ("PUT", "POST", "PATCH") and not {"content-length", "transfer-encoding"} & given.keys():
            given["content-length"] = str(sum(map(len, pieces)) + gone)
        lines = [(b"host", f"{registry}{SUFFIX}".encode())]
        lines += [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        authorization = self.basic(registry) if auth is True else auth
        if authorization:
            lines.append((b"authorization", authorization))
        answer = await self._send(method, target, lines, pieces, gone)
        if not gone:
            self._check(answer, target)
        return answer

    async def _send(
        self, method: str, target: str, lines: list[tuple[bytes, bytes]], pieces: list[bytes], gone: bool
    ) -> Answer:
        path, _, query = target.partition("?")
        pending: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": gone or index < len(pieces) - 1}
            for index, piece in enumerate(pieces)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if pending:
                return pending.pop(0)
            if not gone:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": lines,
            "client": ("10.0.0.1", 1234),
        }
        await self.edge(scope, receive, send)
        found = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        return Answer(method, sent[0]["status"], found, b"".join(bytes(message["body"]) for message in sent[1:]))

    def _check(self, answer: Answer, target: str) -> None:
        names = [name for name, _ in answer.lines]
        assert answer.status < 500, (target, answer.content)
        assert len(set(names) - {"access-control-expose-headers"}) == len(names) - 4 or answer.status == 400, names
        if "docker-distribution-api-version" in names:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert len(answer.headers["x-ms-correlation-request-id"]) == 36
            assert "max-age=31536000" in answer.headers["strict-transport-security"]
        if answer.method == "HEAD":
            assert answer.content == b""
        elif "content-length" in names:
            assert int(answer.headers["content-length"]) == len(answer.content)
        if answer.status >= 400 and "application/json" in answer.headers.get("content-type", "") and answer.content:
            assert set(answer.codes) <= CODES
        if "location" in names:
            assert answer.headers["location"].startswith("/v2/")

    def basic(self, registry: str = "regone") -> bytes:
        if registry not in self.passwords:
            uid = REGISTRIES[registry].uid
            self.db.transact_sync(self.identity.passwords.ensure, uid)
            self.passwords[registry] = self.db.read_sync(self.identity.passwords.list, uid)["password"]
        return b"Basic " + base64.b64encode(f"{registry}:{self.passwords[registry]}".encode())

    # --- what clients do ------------------------------------------------------------------------------------------

    async def push_blob(self, repository: str, content: bytes, *, registry: str = "regone") -> str:
        digest = digest_of(content)
        answer = await self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content, registry=registry)
        assert answer.status == 201, answer.content
        return digest

    async def push_manifest(
        self, repository: str, reference: str | None, manifest: Pushed, *, registry: str = "regone"
    ) -> Answer:
        target = f"/v2/{repository}/manifests/{reference or manifest.digest}"
        headers = {"content-type": manifest.media_type}
        return await self.ask("PUT", target, manifest.content, headers, registry=registry)

    async def push_image(
        self, repository: str, *tags: str, layer: bytes = b"layer", registry: str = "regone", **more: Any
    ) -> Pushed:
        """An OCI image of one layer for linux/amd64, under these tags, or by digest without any."""
        config = msgspec.json.encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}})
        for content in (config, layer):
            await self.push_blob(repository, content, registry=registry)
        manifest = manifest_of(image(config, layer, **more))
        for reference in tags or (None,):
            answer = await self.push_manifest(repository, reference, manifest, registry=registry)
            assert answer.status == 201, answer.content
        return manifest

    async def push_index(self, repository: str, *tags: str, children: Sequence[Pushed], **more: Any) -> Pushed:
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_INDEX,
            "manifests": [child.descriptor(platform={"architecture": "amd64", "os": "linux"}) for child in children],
            **more,
        }
        index = manifest_of(document)
        for reference in tags or (None,):
            assert (await self.push_manifest(repository, reference, index)).status == 201
        return index

    def events(self, registry: str = "regone") -> list[dict[str, Any]]:
        """The registry's journal so far."""
        stream = to_registry(REGISTRIES[registry]).stream
        entries = self.db.read_sync(list_entries, stream, after=0)
        return [{"kind": entry.kind, **entry.decode()} for entry in entries]

    def kinds(self, registry: str = "regone") -> list[str]:
        return [event["kind"] for event in self.events(registry)]

    def last_event(self, registry: str = "regone") -> dict[str, Any]:
        return self.events(registry)[-1]


def image(config: bytes, *layers: bytes, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest_of(layer),
                "size": len(layer),
            }
            for layer in layers
        ],
        **more,
    }
