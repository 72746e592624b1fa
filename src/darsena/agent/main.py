"""`python -m darsena agent`: a process of its own, with its own session, that claims runs and executes them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from darsena.agent.client import ServerClient
from darsena.agent.proxy import RegistryProxy
from darsena.agent.settings import AgentSettings, parse_settings
from darsena.agent.supervisor import Supervisor
from darsena.core.clock import SystemClock
from darsena.core.errors import StartFailure
from darsena.core.ids import new_uid
from darsena.engine.podman import PodmanEngine
from darsena.engine.port import Transport


def main(argv: Sequence[str]) -> int:
    """0 after an orderly end; 2 for a wrong start. The token is taken out of the environment."""
    try:
        settings = parse_settings(argv, os.environ)
    except StartFailure as e:
        print(f"darsena agent: {e.message}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    os.environ.pop("DARSENA_AGENT_TOKEN", None)
    os.umask(0o022)
    asyncio.run(run_agent(settings))
    return 0


async def run_agent(settings: AgentSettings) -> None:
    """Until SIGTERM or SIGINT, or until the parent is gone and the last run is over."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o711)
    proxy = RegistryProxy(settings.registry_domain, settings.server_address)
    client = ServerClient(settings, new_uid())
    try:
        transport = Transport(domain=settings.registry_domain, proxy=await proxy.start(), ca_file=settings.ca_file)
        engine = PodmanEngine(settings.state.resolve(), transport)
        supervisor = Supervisor(settings, client, engine, SystemClock())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.end)
        await supervisor.serve()
    finally:
        await client.close()
        await proxy.stop()
