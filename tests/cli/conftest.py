from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.certificates import write_certificates
from cli.fake_server import CLIENT_ID, CLIENT_SECRET, DIGEST, DOMAIN, SUBSCRIPTION, TENANT, FakeServer, State
from darsena.cli.app import run


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeServer, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    ca_file, pair = write_certificates(folder, DOMAIN)
    server = FakeServer(folder, pair)
    yield server, ca_file
    server.close()


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out)


Darsena = Callable[..., Done]


@pytest.fixture
def owner(shared_server: tuple[FakeServer, Path]) -> dict[str, str]:
    server, ca_file = shared_server
    return {
        "tenant_id": TENANT,
        "subscription_id": SUBSCRIPTION,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "control_url": server.control,
        "registry_domain": DOMAIN,
        "ca_file": str(ca_file),
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and an environment that says nothing."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CONFIG_HOME", "DARSENA_DATA", "DARSENA_PROFILE", "DOCKER_COMMAND", "DARSENA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DARSENA_DEBUG", "1")
    return folder


@pytest.fixture
def server(
    shared_server: tuple[FakeServer, Path],
    owner: dict[str, str],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> FakeServer:
    """A server with a group, a registry and an image, whose owner the command line finds by DARSENA_DATA."""
    fake, _ = shared_server
    fake.state = State()
    fake.add_group("shop")
    fake.add_registry("contoso")
    fake.state.repositories["shop/web"] = {"v1": DIGEST}
    fake.state.manifests[DIGEST] = b'{"schemaVersion": 2,  "mediaType": "x"}'
    data = tmp_path / "data"
    data.mkdir()
    (data / "owner.json").write_text(json.dumps(owner))
    monkeypatch.setenv("DARSENA_DATA", str(data))
    return fake


@pytest.fixture
def darsena(home: Path, capsys: pytest.CaptureFixture[str]) -> Darsena:
    """Run one command in this process."""

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = run(arguments)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return call
