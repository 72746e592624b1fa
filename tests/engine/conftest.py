"""The engine with a real registry to push to, reached through the agent's proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from enginebench import DOMAIN, Bench

from darsena.agent.proxy import RegistryProxy
from darsena.engine.podman import PodmanEngine
from darsena.engine.port import Mode, Transport
from darsena.testing.upstream import Upstream, running_upstream


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    with running_upstream(tmp_path_factory.mktemp("upstream"), DOMAIN) as upstream:
        yield upstream


MakeBench = Callable[..., Bench]


@pytest.fixture
async def make_bench(upstream: Upstream, tmp_path: Path) -> AsyncIterator[MakeBench]:
    proxy = RegistryProxy(DOMAIN, ("127.0.0.1", upstream.port))
    url = await proxy.start()

    made: list[Bench] = []

    def make(mode: Mode | None = None) -> Bench:
        transport = Transport(domain=DOMAIN, proxy=url, ca_file=upstream.ca_file)
        made.append(Bench(PodmanEngine(tmp_path / "state", transport, mode), upstream, tmp_path / "state"))
        return made[-1]

    yield make
    for bench in made:
        for session in list(bench.engine._sessions.values()):
            await bench.engine.close(session.scope)
    await proxy.stop()
