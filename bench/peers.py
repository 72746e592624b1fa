"""The registries that are measured: started here, ended here, nothing of them left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from targets import Target, encode_basic

REGISTRY = "benchreg"


@contextlib.contextmanager
def running_darsena(folder: Path, scheme: str, *, builds: bool = False) -> Iterator[Target]:
    """As users run it: tokens on every request, encrypted at rest."""
    port = free_port()
    options = [*([] if builds else ["--no-build"]), *([] if scheme == "https" else ["--plain-http"])]
    with serving(folder, port, *options) as process:
        for line in (
            ["group", "create", "-n", "bench"],
            ["create", "-g", "bench", "-n", REGISTRY, "--sku", "Premium"],
        ):
            subprocess.run(darsena(*line), env=environment(folder), check=True, capture_output=True, timeout=60)
        yield target_of(folder, port, process.pid)


def target_of(folder: Path, port: int, pid: int) -> Target:
    owner = json.loads((folder / "owner.json").read_text())
    return Target(
        name="Dársena",
        scheme=owner["control_url"].partition(":")[0],
        port=port,
        host=f"{REGISTRY}.{owner['registry_domain']}:{port}",
        pid=pid,
        basic=encode_basic(owner["client_id"], owner["client_secret"]),
        folder=folder,
    )


@contextlib.contextmanager
def serving(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`darsena serve`, once it can be signed in to and until the block ends."""
    with starting(folder, port, *options) as running:
        wait_until(lambda: (folder / "owner.json").exists() and listens(port), "Dársena")
        yield running


def starting(folder: Path, port: int, *options: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """`darsena serve`, from its first moment."""
    command = darsena("serve", "--data", str(folder), "--listen", f"127.0.0.1:{port}", *options)
    return process(command, environment(folder), folder.with_suffix(".log"))


def darsena(*words: str) -> list[str]:
    return [sys.executable, "-m", "darsena", *words]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CONFIG_HOME": str(folder.parent / "config"), "DARSENA_DATA": str(folder)}


@contextlib.contextmanager
def running_docker_registry(folder: Path, certificate: Path | None, private_key: Path | None) -> Iterator[Target]:
    """As Debian configures it, but for the folder, the port, TLS with the certificate given, and without its passwords,
    which would cost it a bcrypt on each request."""
    program = shutil.which("docker-registry")
    if program is None:
        raise SystemExit("docker-registry is missing: apt-get install docker-registry")
    port = free_port()
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    tls = f", tls: {{certificate: {certificate}, key: {private_key}}}" if certificate else ""
    config.write_text(
        f"version: 0.1\nlog: {{fields: {{service: registry}}}}\n"
        f"storage:\n  cache: {{blobdescriptor: inmemory}}\n  filesystem: {{rootdirectory: {folder}/data}}\n"
        f"  delete: {{enabled: true}}\n"
        f"http: {{addr: '127.0.0.1:{port}', headers: {{X-Content-Type-Options: [nosniff]}}{tls}}}\n"
        f"health: {{storagedriver: {{enabled: true, interval: 10s, threshold: 3}}}}\n"
    )
    with process([program, "serve", str(config)], dict(os.environ), folder.with_suffix(".log")) as running:
        wait_until(lambda: listens(port), "docker-registry")
        yield Target(
            name="docker-registry",
            scheme="https" if certificate else "http",
            port=port,
            host=f"127.0.0.1:{port}",
            pid=running.pid,
            folder=folder,
        )


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(45)
            except subprocess.TimeoutExpired:
                running.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come up within {timeout_s:.0f} s")
        time.sleep(0.02)
