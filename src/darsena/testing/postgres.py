"""A real PostgreSQL for tests: made with `initdb` in a temporary folder, run as a user other than root, ended with the
test session. A template database is migrated once and cloned per test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

_DEBIAN = "/usr/lib/postgresql"
_TEMPLATE = "darsena_template"


def _find(program: str) -> str:
    """Debian's newest, else what is on the PATH. Raises FileNotFoundError naming the package."""
    candidates = sorted(Path(_DEBIAN).glob(f"*/bin/{program}"), reverse=True)
    found = str(candidates[0]) if candidates else shutil.which(program)
    if found is None:
        raise FileNotFoundError(f"{program} is missing: install Debian's package postgresql, or put it on the PATH")
    return found


class Postgres:
    """A running server; `create` makes an empty or cloned database and returns its SQLAlchemy URL."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._count = 0
        self.has_template = False

    def _admin(self) -> psycopg.Connection[Any]:
        return psycopg.connect(f"host={self.folder} port={self.port} user=darsena dbname=postgres", autocommit=True)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://darsena@/{name}?host={self.folder}&port={self.port}"

    def create(self, name: str | None = None, *, clone: bool = False) -> str:
        self._count += 1
        name = name or f"t{self._count}"
        template = f" TEMPLATE {_TEMPLATE}" if clone else ""
        with self._admin() as admin:
            admin.execute(f'CREATE DATABASE "{name}"{template}'.encode())
        return self.url(name)

    def create_template(self) -> str:
        """The database that `create(clone=True)` copies; migrate it, close it, then set `has_template`."""
        return self.create(_TEMPLATE)

    def drop(self, url: str) -> None:
        name = url.split("/@/")[-1].partition("?")[0].rpartition("/")[2]
        with self._admin() as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@contextmanager
def running_postgres() -> Generator[Postgres]:
    """Start a server in a temporary folder of its own, which its user owns; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="darsena-postgres-") as name, _running_in(Path(name)) as server:
        yield server


@contextmanager
def _running_in(folder: Path) -> Generator[Postgres]:
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "timeout": 60, "check": True}
    if os.geteuid() == 0:
        owner = _unprivileged_user()
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/"}
    data, port = folder / "data", _free_port()
    subprocess.run(
        [_find("initdb"), "-D", str(data), "-U", "darsena", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        **options,
    )
    settings = f"-p {port} -k {folder} -c listen_addresses= -c fsync=off -c max_connections=200"
    log = folder / "log"
    subprocess.run([_find("pg_ctl"), "-D", str(data), "-l", str(log), "-w", "-o", settings, "start"], **options)
    try:
        yield Postgres(folder, port)
    finally:
        subprocess.run([_find("pg_ctl"), "-D", str(data), "-m", "immediate", "stop"], **options)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise FileNotFoundError("there is no user 'postgres' or 'nobody' to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
