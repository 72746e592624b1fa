"""A real agent process against a fake of the server with a real registry behind it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agentprocess import BUSYBOX, busybox, pack, running_agent
from fakeserver import DOMAIN, FakeRun, FakeServer, running_server

from darsena.testing.upstream import running_upstream


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeServer]:
    folder = tmp_path_factory.mktemp("server")
    with running_upstream(folder, DOMAIN, tls=False) as upstream, running_server(folder, upstream) as server:
        yield server


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agent") / "state"


@pytest.fixture(scope="session")
def agent(server: FakeServer, state: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running_agent(server, state) as agent:
        yield agent


@pytest.fixture(scope="session")
def base(server: FakeServer, agent: subprocess.Popen[bytes]) -> str:
    """A busybox image made by a run; the map knows it as mcr.microsoft.com/hello-world."""
    run = server.submit(
        {"type": "DockerBuildRequest", "imageNames": ["hello-world:latest"], "dockerFilePath": "Dockerfile"},
        pack({"Dockerfile": BUSYBOX, "busybox": busybox()}),
    )
    assert run.ended.wait(60), run.text
    assert run.finish is not None
    assert run.finish["status"] == "Succeeded", run.text
    return f"{server.registry}/hello-world:latest"


@pytest.fixture
def execute(server: FakeServer, base: str) -> Callable[..., FakeRun]:
    """Submit a run and wait for its end."""

    def do(request: dict[str, object], archive: bytes = b"", **changes: Any) -> FakeRun:
        run = server.submit(request, archive, **changes)
        assert run.ended.wait(60), run.text
        return run

    return do
