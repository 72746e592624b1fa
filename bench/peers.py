"""The two registries that are measured: started here, ended here, filled through their own HTTP."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit


@dataclass
class Target:
    """A running registry at 127.0.0.1:`port`, addressed as `host`."""

    name: str
    port: int
    host: str
    certificate: Path
    private_key: Path
    basic: str = ""
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
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

    def push_blob(self, repository: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        sign = self.headers(repository, "pull,push")
        status, headers, body = self.request("POST", f"/v2/{repository}/blobs/uploads/", **sign)
        assert status == 202, body
        location = urlsplit(urljoin(f"https://{self.host}/", headers["location"]))
        path = (
            f"{location.path}?{location.query}&digest={digest}"
            if location.query
            else f"{location.path}?digest={digest}"
        )
        status, _, body = self.request("PUT", path, content, **sign, **{"Content-Type": "application/octet-stream"})
        assert status == 201, body
        return digest

    def push_image(self, repository: str, tag: str, *, layer: bytes) -> str:
        """An OCI image of one layer; returns the layer's digest."""
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        ).encode()
        kind = "application/vnd.oci.image"
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {
                "mediaType": f"{kind}.config.v1+json",
                "digest": self.push_blob(repository, config),
                "size": len(config),
            },
            "layers": [
                {"mediaType": f"{kind}.layer.v1.tar", "digest": self.push_blob(repository, layer), "size": len(layer)}
            ],
        }
        status, _, body = self.request(
            "PUT",
            f"/v2/{repository}/manifests/{tag}",
            json.dumps(manifest).encode(),
            **self.headers(repository, "pull,push"),
            **{"Content-Type": manifest["mediaType"]},
        )
        assert status == 201, body
        return manifest["layers"][0]["digest"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_darsena(folder: Path) -> Iterator[Target]:
    port = free_port()
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder.parent / "config"), "DARSENA_DATA": str(folder)}
    command = [sys.executable, "-m", "darsena"]
    arguments = ["serve", "--data", str(folder), "--listen", f"127.0.0.1:{port}", "--no-build"]
    with process([*command, *arguments], environment):
        wait_until(lambda: (folder / "owner.json").exists() and listens(port), "Dársena")
        for line in (
            ["group", "create", "-n", "bench"],
            ["create", "-g", "bench", "-n", "benchreg", "--sku", "Premium"],
        ):
            subprocess.run([*command, *line], env=environment, check=True, capture_output=True, timeout=60)
        owner = json.loads((folder / "owner.json").read_text())
        yield Target(
            name="Dársena",
            port=port,
            host=f"benchreg.{owner['registry_domain']}:{port}",
            certificate=folder / "tls" / "server.pem",
            private_key=folder / "tls" / "server.key",
            basic=base64.b64encode(f"{owner['client_id']}:{owner['client_secret']}".encode()).decode(),
        )


@contextlib.contextmanager
def running_docker_registry(folder: Path, certificate: Path, private_key: Path) -> Iterator[Target]:
    program = shutil.which("docker-registry")
    if program is None:
        raise SystemExit("docker-registry is missing: apt-get install docker-registry")
    port = free_port()
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: error}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, cache: {{blobdescriptor: inmemory}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', tls: {{certificate: {certificate}, key: {private_key}}}}}\n"
    )
    with process([program, "serve", str(config)], dict(os.environ)):
        wait_until(lambda: listens(port), "docker-registry")
        yield Target(
            name="docker-registry",
            port=port,
            host=f"127.0.0.1:{port}",
            certificate=certificate,
            private_key=private_key,
        )


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(45)
            except subprocess.TimeoutExpired:
                running.kill()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(condition: Any, what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come up within {timeout_s:.0f} s")
        time.sleep(0.05)
