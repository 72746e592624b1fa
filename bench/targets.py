"""A registry that is measured, as its clients see it: addresses, tokens, and how something is put into it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

KIND = "application/vnd.oci.image"
MANIFEST_TYPE = f"{KIND}.manifest.v1+json"


@dataclass
class Target:
    """A running registry at 127.0.0.1:`port`, addressed as `host`."""

    name: str
    scheme: str
    port: int
    host: str
    pid: int
    basic: str = ""
    """User and password in base64; empty where no tokens are asked for."""
    folder: Path = field(default_factory=Path)
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        if self.scheme == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=120, context=any_certificate())

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, {"Host": self.host, **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def headers(self, repository: str, actions: str) -> dict[str, str]:
        """A bearer token for the repository, where tokens are asked for."""
        if not self.basic:
            return {}
        scope = f"repository:{repository}:{actions}"
        if scope not in self._tokens:
            query = f"service={quote(self.host)}&scope={quote(scope)}"
            status, _, body = self.request("GET", f"/oauth2/token?{query}", Authorization=f"Basic {self.basic}")
            assert status == 200, body
            self._tokens[scope] = json.loads(body)["access_token"]
        return {"Authorization": f"Bearer {self._tokens[scope]}"}

    def begin_upload(self, repository: str) -> str:
        """Where to PUT the content, but for the digest."""
        status, headers, body = self.request(
            "POST", f"/v2/{repository}/blobs/uploads/", b"", **self.headers(repository, "pull,push")
        )
        assert status == 202, body
        location = urlsplit(urljoin(f"{self.url}/", headers["location"]))
        return f"{location.path}?{location.query}&digest=" if location.query else f"{location.path}?digest="

    def push_blob(self, repository: str, content: bytes) -> str:
        digest = digest_of(content)
        path = self.begin_upload(repository) + digest
        headers = {**self.headers(repository, "pull,push"), "Content-Type": "application/octet-stream"}
        status, _, body = self.request("PUT", path, content, **headers)
        assert status == 201, body
        return digest

    def push_image(self, repository: str, tag: str, *, layer: bytes) -> str:
        """An OCI image of one layer; returns the layer's digest."""
        config, manifest = make_image(layer)
        self.push_blob(repository, config)
        digest = self.push_blob(repository, layer)
        sign = self.headers(repository, "pull,push")
        kind = {"Content-Type": MANIFEST_TYPE}
        status, _, body = self.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, **sign, **kind)
        assert status == 201, body
        return digest


def any_certificate() -> ssl.SSLContext:
    """TLS as ever, without asking whose certificate it is: names here are not in any name service."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def make_image(layer: bytes, **config: Any) -> tuple[bytes, bytes]:
    """(config, manifest) of an image with this one layer."""
    content = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, **config}
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": f"{KIND}.config.v1+json", "digest": digest_of(content), "size": len(content)},
        "layers": [{"mediaType": f"{KIND}.layer.v1.tar", "digest": digest_of(layer), "size": len(layer)}],
    }
    return content, json.dumps(manifest).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode_basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
