"""An engine, and what a test needs to use it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from darsena.core.ids import new_uid
from darsena.engine.podman import PodmanEngine
from darsena.engine.port import BuildSpec, RunScope, RunSpec
from darsena.testing.upstream import Upstream

DOMAIN = "azurecr.localhost"
BUSYBOX = (
    'FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
)


@dataclass
class Bench:
    """An engine and what a test needs to use it."""

    engine: PodmanEngine
    upstream: Upstream
    state: Path

    async def open(self, **changes: object) -> RunScope:
        base_images = {"mcr.microsoft.com/hello-world": f"{self.upstream.host('reg')}/hello-world"}
        given = {"run_uid": new_uid(), "registry_uid": "b" * 32, "cpu": 2, "logins": (), "base_images": base_images}
        return await self.engine.open(RunSpec(**(given | changes)))  # pyright: ignore

    async def build(self, scope: RunScope, text: str, **changes: object) -> tuple[int, str]:
        """The exit code and what the tool said."""
        folder = scope.workspace / new_uid()
        folder.mkdir()
        shutil.copy("/bin/busybox", folder / "busybox")
        (folder / "Dockerfile").write_text(text)
        for path in (folder, *folder.iterdir()):
            if scope.owner is not None:
                os.chown(path, *scope.owner)
        said = bytearray()
        given = {
            "step_id": "build",
            "context": folder,
            "dockerfile": folder / "Dockerfile",
            "tags": ("x:1",),
            "platform": "linux/amd64",
        }
        code = await self.engine.build(scope, BuildSpec(**(given | changes)), said.extend)  # pyright: ignore
        return code, said.decode()

    async def seed(self) -> str:
        """A busybox in the registry, where the map sends mcr.microsoft.com/hello-world."""
        reference = f"{self.upstream.host('reg')}/hello-world:latest"
        if (self.upstream.folder / "seeded").exists():
            return reference
        scope = await self.open()
        code, said = await self.build(scope, BUSYBOX, tags=(reference,))
        assert code == 0, said
        await self.engine.push(scope, reference, lambda _: None)
        await self.engine.close(scope)
        (self.upstream.folder / "seeded").touch()
        return reference
