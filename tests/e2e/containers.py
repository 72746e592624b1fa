"""podman, buildah and skopeo as a person has them, with a storage and a sign-in file of their own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stand import Done, Stand, run


@dataclass(frozen=True)
class Containers:
    """Each call is one unmodified program; `check` makes its failure the test's."""

    stand: Stand
    folder: Path
    """Short: podman's sockets lie in it."""

    @property
    def auth(self) -> Path:
        return self.folder / "auth.json"

    def podman(self, *arguments: str, **options: Any) -> Done:
        return self._run("podman", *self._storage, *arguments, **options)

    def buildah(self, *arguments: str, **options: Any) -> Done:
        return self._run("buildah", *self._storage, *arguments, **options)

    def skopeo(self, *arguments: str, **options: Any) -> Done:
        return self._run("skopeo", *arguments, **options)

    def login(self, server: str, user: str, password: str, *, check: bool = True) -> Done:
        return self.podman("login", server, "--username", user, "--password", password, check=check)

    def sign_in(self, registry: str) -> str:
        """As the owner; the login server."""
        server = self.stand.login_server(registry)
        self.login(server, self.stand.owner["client_id"], self.stand.owner["client_secret"])
        return server

    def remove(self, *images: str) -> None:
        """From this storage, so that a pull brings every byte again."""
        self.podman("rmi", "--force", *images)

    @property
    def _storage(self) -> list[str]:
        return ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]

    def _run(self, *command: str, check: bool = True, timeout: float = 120) -> Done:
        environment = {**self.stand.env(), "REGISTRY_AUTH_FILE": str(self.auth)}
        done = run(list(command), env=environment, timeout=timeout)
        assert not check or done.code == 0, f"{' '.join(command)} ended with {done.code}:\n{done.err}\n{done.out}"
        return done


@contextlib.contextmanager
def own_containers(stand: Stand) -> Iterator[Containers]:
    folder = Path(tempfile.mkdtemp(prefix="darsena-c-"))
    containers = Containers(stand, folder)
    containers.auth.write_text("{}")  # podman wants the file that it is told of to exist
    try:
        yield containers
    finally:
        containers.podman("system", "reset", "--force", check=False)
        subprocess.run(["umount", "--recursive", str(folder / "root" / "overlay")], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
