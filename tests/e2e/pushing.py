"""Pushing and pulling by plain HTTP: where a test must know exactly which request was acknowledged."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from stand import Stand

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Pusher:
    """One repository of one registry, signed in with Basic on every request."""

    stand: Stand
    registry: str
    repository: str

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Raises httpx.TransportError where the server dies in the middle."""
        owner = self.stand.owner
        with self.stand.client(self.stand.login_server(self.registry)) as client:
            return client.request(method, path, auth=(owner["client_id"], owner["client_secret"]), **options)

    def push_blob(self, content: bytes) -> str:
        begun = self.request("POST", f"/v2/{self.repository}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        digest = digest_of(content)
        location = urlsplit(begun.headers["location"])
        done = self.request("PUT", f"{location.path}?{location.query}&digest={digest}", content=content)
        assert done.status_code == 201, done.text
        return digest

    def make_manifest(self, layer: bytes, annotations: dict[str, str] | None = None, *, push: bool = True) -> bytes:
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": annotations or {}}}).encode()
        if push:
            self.push_blob(config)
            self.push_blob(layer)
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
                "annotations": annotations or {},
            }
        ).encode()

    def put_manifest(self, tag: str, manifest: bytes) -> str:
        done = self.request(
            "PUT", f"/v2/{self.repository}/manifests/{tag}", content=manifest, headers={"content-type": MANIFEST}
        )
        assert done.status_code == 201, done.text
        return done.headers["docker-content-digest"]

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", f"/v2/{self.repository}/{path}", headers={"accept": MANIFEST})

    def check_whole(self, tag: str) -> None:
        """What is served by tag is complete, and every byte matches its digest (promise R2)."""
        answer = self.get(f"manifests/{tag}")
        assert answer.status_code == 200, answer.text
        assert digest_of(answer.content) == answer.headers["docker-content-digest"]
        document = answer.json()
        for part in [document["config"], *document["layers"]]:
            blob = self.get(f"blobs/{part['digest']}")
            assert blob.status_code == 200, part
            assert (digest_of(blob.content), len(blob.content)) == (part["digest"], part["size"])

    def list_tags(self) -> list[str]:
        answer = self.get("tags/list")
        return answer.json()["tags"] if answer.status_code == 200 else []
