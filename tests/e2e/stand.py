"""A real server on a folder of its own, started as a person would, and the clients that drive it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

DARSENA = [sys.executable, "-m", "darsena"]
REGISTRY = "e2eregistry"
"""Of the server that the tests share. Not in conftest.py: there are two of that name."""
START_S = 60.0
STOP_S = 60.0


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Stand:
    """One data folder with a server that can be started, killed and started again."""

    data: Path
    port: int
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    scheme: str = "https"
    """Of the wire."""
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    token: str = ""

    def __post_init__(self) -> None:
        self.log = self.home / "serve.log"
        self.home.mkdir(parents=True, exist_ok=True)

    # --- the server ---------------------------------------------------------------------------------------------

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.port}"

    def env(self) -> dict[str, str]:
        own = {
            "DARSENA_DATA": str(self.data),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "REGISTRY_AUTH_FILE": str(self.home / "auth.json"),
            "DARSENA_CHECK_JOURNAL": "1",
            "DARSENA_BUILD__STATE": str(self.state),
        }
        return {**os.environ, **own, **self.environment}

    @property
    def state(self) -> Path:
        """The agent's folder. Short and under /var: the build user must reach it, and sockets lie in it."""
        return Path("/var/tmp") / f"darsena-e2e-{self.port}"

    def start(self, *options: str, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*DARSENA, "serve", "--data", str(self.data), "--listen", self.listen, *options],
                env=self.env(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while self.health() is None or not (self.data / "owner.json").exists():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not come up:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)

    def health(self) -> dict[str, Any] | None:
        try:
            with self.client(timeout=2) as client:
                return client.get("/healthz").json()
        except (httpx.HTTPError, OSError, ValueError):
            return None

    def stop(self, *, within_s: float = STOP_S) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def kill(self) -> None:
        """SIGKILL to the server's parent process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def worker_pid(self) -> int:
        """The API worker: the supervisor's child that was forked, so that it is called as the supervisor is."""
        assert self.process is not None
        supervisor = Path(f"/proc/{self.process.pid}/cmdline").read_bytes()
        for pid in children(self.process.pid):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == supervisor:
                return pid
        raise AssertionError("the server has no worker")

    def agent_pid(self) -> int | None:
        assert self.process is not None
        for pid in children(self.process.pid):
            if b"agent" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    @property
    def endless(self) -> str:
        """A command that outlasts every test, and that no other test on this machine has in its process list."""
        return f"sleep {self.port}"

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database holds, read beside the server: an oracle, never a way to change anything."""
        path = self.data / "db" / "darsena.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()

    # --- the control plane, without the command line: for what is asked again and again ------------------------

    def arm(self, method: str, path: str) -> Any:
        """The body of a 200 of ARM."""
        with self.client() as client:
            if not self.token:
                form = {
                    "grant_type": "client_credentials",
                    "client_id": self.owner["client_id"],
                    "client_secret": self.owner["client_secret"],
                    "scope": f"{self.owner['control_url']}/.default",
                }
                answer = client.post(f"/{self.owner['tenant_id']}/oauth2/v2.0/token", data=form)
                self.token = answer.json()["access_token"]
            headers = {"authorization": f"Bearer {self.token}"}
            answer = client.request(method, f"{path}?api-version=2019-06-01-preview", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fsck(self) -> str:
        """The running server's verdict."""
        self.arm("GET", f"/subscriptions/{self.owner['subscription_id']}/resourceGroups")  # signs in
        with self.client(timeout=120) as client:
            answer = client.post("/darsena/v1/admin/fsck", json={}, headers={"authorization": f"Bearer {self.token}"})
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text.splitlines()[-1])["verdict"]

    def runs(self, registry: str) -> list[dict[str, Any]]:
        """Newest first, at most a page."""
        return [_flat(run) for run in self.arm("GET", self._runs(registry))["value"]]

    def run(self, registry: str, run_id: str) -> dict[str, Any]:
        return _flat(self.arm("GET", f"{self._runs(registry)}/{run_id}"))

    def read_log(self, registry: str, run_id: str) -> str:
        """The log blob as it is now, by the signed URL that any client gets."""
        link = urlsplit(self.arm("POST", f"{self._runs(registry)}/{run_id}/listLogSasUrl")["logLink"])
        with self.client(link.netloc) as client:
            answer = client.get(f"{link.path}?{link.query}")
            return answer.text if answer.status_code == 200 else ""

    def _runs(self, registry: str) -> str:
        group = f"/subscriptions/{self.owner['subscription_id']}/resourceGroups/tests"
        return f"{group}/providers/Microsoft.ContainerRegistry/registries/{registry}/runs"

    # --- clients ------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> dict[str, str]:
        return json.loads((self.data / "owner.json").read_text())

    @property
    def credentials(self) -> str:
        return f"{self.owner['client_id']}:{self.owner['client_secret']}"

    def login_server(self, registry: str) -> str:
        return f"{registry}.{self.owner['registry_domain']}:{self.port}"

    def client(self, host: str | None = None, *, timeout: float = 30) -> httpx.Client:
        """HTTP to this server whatever names resolve to; `host` is the Host header (with its port)."""
        context = ssl.create_default_context(cafile=str(self.data / "tls" / "ca.pem"))
        host = host or f"localhost:{self.port}"
        return httpx.Client(
            base_url=f"{self.scheme}://127.0.0.1:{self.port}", headers={"host": host}, verify=context, timeout=timeout
        )

    def darsena(
        self, *arguments: str, timeout: float = 180, environment: dict[str, str] | None = None, **options: Any
    ) -> Done:
        return run([*DARSENA, *arguments], env={**self.env(), **(environment or {})}, timeout=timeout, **options)

    def ok(self, *arguments: str, **options: Any) -> Done:
        """A command that must succeed."""
        done = self.darsena(*arguments, **options)
        assert done.code == 0, f"darsena {' '.join(arguments)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done

    def tool(self, *command: str, timeout: float = 120, check: bool = True) -> Done:
        """podman, buildah, skopeo: unmodified, with an environment of their own."""
        done = run(list(command), env=self.env(), timeout=timeout)
        assert not check or done.code == 0, f"{' '.join(command)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done


def _flat(resource: dict[str, Any]) -> dict[str, Any]:
    return {**resource, **resource["properties"]}


def run(command: list[str], *, env: dict[str, str], timeout: float, cwd: Path | None = None) -> Done:
    done = subprocess.run(
        command,
        env=env,
        timeout=timeout,
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def children(pid: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def process_list() -> list[str]:
    """What `ps` shows to everybody."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, *, within_s: float = 30) -> Any:
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {within_s:.0f} s: {what}")
        time.sleep(0.05)
    return value


@contextlib.contextmanager
def standing(
    folder: Path, *options: str, environment: dict[str, str] | None = None, scheme: str = "https"
) -> Iterator[Stand]:
    stand = Stand(folder / "data", free_port(), folder / "home", environment or {}, scheme)
    stand.start(*options)
    try:
        yield stand
    finally:
        stand.end()
        subprocess.run(["rm", "-rf", str(stand.state)], check=False)
