"""What the agent is started with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from darsena.core.errors import StartFailure

TOKEN_VARIABLE = "DARSENA_AGENT_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    server: str
    """Where the server is connected to, e.g. `https://127.0.0.1:8443`."""
    server_name: str
    """The name in the certificate and the Host header, e.g. `localhost:8443`."""
    ca_file: Path
    registry_domain: str
    state: Path
    token: str = field(repr=False)
    pool: str = "default"
    cpu: int = field(default_factory=lambda: os.cpu_count() or 1)
    parent: int | None = None
    """The process that the agent must not outlive for long; None: it goes on by itself."""
    grace_s: float = 30.0
    allow_sources: tuple[str, ...] = ()
    """`host` or `host:port` on this machine that sources may be fetched from."""

    @property
    def server_address(self) -> tuple[str, int]:
        parts = urlsplit(self.server)
        return parts.hostname or "127.0.0.1", parts.port or 443


def parse_settings(argv: Sequence[str], environment: Mapping[str, str]) -> AgentSettings:
    """From the command line, and the token from the environment. Raises StartFailure for a missing one."""
    parser = argparse.ArgumentParser(prog="darsena agent", description="Claim runs from a server and execute them.")
    parser.add_argument("--server", required=True, help="where the server is, e.g. https://127.0.0.1:8443")
    parser.add_argument("--server-name", help="its name in the certificate (default: the host of --server)")
    parser.add_argument("--ca-file", required=True, type=Path, help="the authority that the certificate is signed by")
    parser.add_argument("--registry-domain", required=True, help="the domain of login servers, without a port")
    parser.add_argument("--state", required=True, type=Path, help="the folder for runs and caches")
    parser.add_argument("--pool", default="default", help="the agent pool to serve (default: default)")
    parser.add_argument("--cpu", type=int, help="cpus to give to runs (default: all)")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds that runs get to end after SIGTERM (30)")
    parser.add_argument(
        "--allow-source",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="a host on this machine to fetch from",
    )
    parser.add_argument("--parent", type=int, help="the process that it must not outlive (default: its parent)")
    parser.add_argument("--no-parent", action="store_true", help="go on when the process that started it ends")
    given = parser.parse_args(argv)
    token = environment.get(TOKEN_VARIABLE)
    if not token:
        raise StartFailure(f"the agent's token is missing: set {TOKEN_VARIABLE}")
    if not given.ca_file.is_file():
        raise StartFailure(f"the CA file {given.ca_file} does not exist")
    return AgentSettings(
        server=given.server.rstrip("/"),
        server_name=given.server_name or urlsplit(str(given.server)).netloc,
        ca_file=given.ca_file,
        registry_domain=given.registry_domain.lower().partition(":")[0],
        state=given.state,
        token=token,
        pool=given.pool,
        cpu=given.cpu or os.cpu_count() or 1,
        parent=None if given.no_parent else given.parent or os.getppid(),
        grace_s=given.grace,
        allow_sources=tuple(given.allow_source),
    )
