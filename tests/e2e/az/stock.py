"""One `az` with its own configuration folder; every call is a process of the unmodified program."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stand import Done, Stand, run, wait_until

PROGRAM = Path(__file__).parents[3] / ".tools" / "az" / "bin" / "az"
GROUP = "az-tests"
"""The resource group of the tests that need one."""

NOT_FOUND = 3
"""The exit code of `az` for a resource that is not there."""


@dataclass
class Az:
    stand: Stand
    config: Path

    def env(self) -> dict[str, str]:
        own = {
            "AZURE_CONFIG_DIR": str(self.config),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_NO_COLOR": "yes",
            "REQUESTS_CA_BUNDLE": str(self.stand.data / "tls" / "ca.pem"),
            "PYTHONWARNINGS": "ignore",
        }
        return {**os.environ, **own}

    def __call__(
        self, *arguments: str, cwd: Path | None = None, timeout: float = 180, environment: dict[str, str] | None = None
    ) -> Done:
        return run([str(PROGRAM), *arguments], env={**self.env(), **(environment or {})}, timeout=timeout, cwd=cwd)

    def ok(self, *arguments: str, **options: Any) -> Done:
        """A command that must succeed."""
        done = self(*arguments, **options)
        assert done.code == 0, f"az {' '.join(arguments)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done

    def json(self, *arguments: str, **options: Any) -> Any:
        return self.ok(*arguments, **options).json()

    def lines(self, *arguments: str, **options: Any) -> list[str]:
        """What `-o tsv` prints."""
        return self.ok(*arguments, "-o", "tsv", **options).out.splitlines()

    def refused(self, *arguments: str, code: int = 1, **options: Any) -> str:
        """A command that must fail with this exit code; what it printed as its error."""
        done = self(*arguments, **options)
        assert done.code == code, f"az {' '.join(arguments)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done.err

    def sign_in(self, owner: dict[str, str]) -> None:
        self.ok("cloud", "register", "-n", "Darsena", "--endpoint-resource-manager", owner["control_url"])
        self.ok("cloud", "set", "-n", "Darsena")
        secret = ("-u", owner["client_id"], "-p", owner["client_secret"], "--tenant", owner["tenant_id"])
        self.ok("login", "--service-principal", *secret)

    def answer_yes(self, *arguments: str, timeout: float = 60) -> int:
        """A command that asks its person, who types y; its exit code."""
        here, there = pty.openpty()
        try:
            with subprocess.Popen(
                [str(PROGRAM), *arguments], env=self.env(), stdin=there, stdout=there, stderr=there
            ) as process:
                os.write(here, b"y\n")
                return process.wait(timeout)
        finally:
            os.close(here)
            os.close(there)

    def wait_for_name(self, registry: str) -> None:
        """`darsena trust` keeps this machine's names up to date; a new registry's follows within a second or so."""
        host = self.stand.login_server(registry).partition(":")[0]
        wait_until(lambda: resolves(host), f"{host} resolves")


def resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
