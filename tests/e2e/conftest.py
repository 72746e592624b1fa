"""One server for the tests that only use it; those that hurt it start their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import Containers, own_containers
from stand import REGISTRY, Stand, standing

NEEDED = {"podman": "podman", "buildah": "buildah", "skopeo": "skopeo", "runc": "runc", "busybox": "busybox-static"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """A server that is killed in the middle of a handshake leaves a socket that Python's ssl module does not close."""
    item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"))


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """A client that is missing fails the tests: it does not skip them."""
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    assert not missing, f"apt-get install {' '.join(missing)}"


@pytest.fixture(scope="session")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A server with a registry, its names known on this machine while the tests run."""
    with standing(tmp_path_factory.mktemp("stand")) as running:
        running.ok("group", "create", "-n", "tests")
        running.ok("create", "-g", "tests", "-n", REGISTRY, "--sku", "Standard", "--admin-enabled", "true")
        running.ok("trust")
        try:
            yield running
        finally:
            running.ok("trust", "--undo")


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build context: FROM scratch and one static program with all its names."""
    folder = tmp_path_factory.mktemp("busybox")
    shutil.copy(shutil.which("busybox") or "/bin/busybox", folder / "busybox")
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nCMD ["/bin/sh"]\n'
    )
    return folder


@pytest.fixture(scope="session")
def base(stand: Stand, busybox: Path) -> str:
    """That image, built by the server itself; its name with the login server."""
    stand.ok("build", "-r", REGISTRY, "-t", "base/busybox:1", str(busybox))
    return f"{stand.login_server(REGISTRY)}/base/busybox:1"


@pytest.fixture
def clients(stand: Stand) -> Iterator[Containers]:
    """podman, buildah and skopeo with nothing stored and nobody signed in."""
    with own_containers(stand) as containers:
        yield containers
