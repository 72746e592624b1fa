"""podman, buildah and skopeo as a person has them, with a storage and a sign-in file of their own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stand import Done, Stand, run


@dataclass(frozen=True, kw_only=True)
class Content:
    """An image as it lies in the registry: its config, and what its layers put where."""

    config: dict[str, Any]
    entries: dict[str, tarfile.TarInfo]
    texts: dict[str, bytes]

    @property
    def owners(self) -> set[tuple[int, int]]:
        return {(entry.uid, entry.gid) for entry in self.entries.values()}


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

    def read(self, image: str, *options: str) -> Content:
        """Every byte of it, through skopeo, which checks all digests."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        self.skopeo(*options, "copy", f"docker://{image}", f"oci:{folder}:it")

        def blob(descriptor: dict[str, Any]) -> Path:
            return folder / "blobs" / "sha256" / descriptor["digest"].partition(":")[2]

        manifest = json.loads(blob(json.loads((folder / "index.json").read_text())["manifests"][0]).read_text())
        entries: dict[str, tarfile.TarInfo] = {}
        texts: dict[str, bytes] = {}
        for layer in manifest["layers"]:
            with tarfile.open(blob(layer)) as tar:
                for entry in tar:
                    entries[entry.name] = entry
                    file = tar.extractfile(entry) if entry.isfile() else None
                    if file is not None:
                        texts[entry.name] = file.read()
        return Content(config=json.loads(blob(manifest["config"]).read_text()), entries=entries, texts=texts)

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
