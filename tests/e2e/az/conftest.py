"""The stock `az`, unmodified, with a configuration of its own, signed in as the owner's service principal."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stand import Stand
from stock import GROUP, PROGRAM, Az


@pytest.fixture(scope="session")
def new_az(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Az]:
    """Makes a fresh `az`: nobody is signed in and no cloud is known."""
    assert PROGRAM.exists(), "the stock az is missing: scripts/stock-az installs it"
    return lambda: Az(stand, tmp_path_factory.mktemp("azure"))


@pytest.fixture(scope="session")
def az(new_az: Callable[[], Az], stand: Stand) -> Az:
    """Signed in, with a resource group for the tests that need one."""
    az = new_az()
    az.sign_in(stand.owner)
    az.ok("group", "create", "-n", GROUP, "-l", "westeurope")
    return az


@pytest.fixture(scope="module")
def registry(az: Az) -> Iterator[str]:
    """A registry of the module's own, with its full name known on this machine."""
    name = f"az{uuid.uuid4().hex[:10]}"
    az.ok("acr", "create", "-g", GROUP, "-n", name, "--sku", "Premium", "--admin-enabled", "true")
    az.wait_for_name(name)
    yield name
    az.ok("acr", "delete", "-g", GROUP, "-n", name, "--yes")


@pytest.fixture(scope="module")
def image(az: Az, registry: str, context: Path) -> str:
    """`sample/hello:v1`, built in that registry from nothing but a static program."""
    az.ok("acr", "build", "-r", registry, "-t", "sample/hello:v1", str(context))
    return "sample/hello:v1"


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build context that says hello."""
    folder = tmp_path_factory.mktemp("hello")
    shutil.copy(shutil.which("busybox") or "/bin/busybox", folder / "busybox")
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "echo", "Hello from Dársena"]\n', "utf-8"
    )
    return folder
