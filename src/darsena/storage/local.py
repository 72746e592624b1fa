"""The store in a local folder: blobs, uploads, sources and logs of every registry, all encrypted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from darsena.core.failpoints import failpoint
from darsena.storage.ground import Ground
from darsena.storage.keyring import Keyring
from darsena.storage.layout import Layout, is_registry, is_temporary
from darsena.storage.local_blobs import LocalBlobs
from darsena.storage.local_logs import LocalLogs
from darsena.storage.local_sources import LocalSources
from darsena.storage.local_uploads import LocalUploads
from darsena.storage.workers import Workers


class LocalStorage:
    """Everything below `DIR/registries/`. `root` is the data folder DIR; one event loop uses an instance."""

    def __init__(self, root: Path, keyring: Keyring) -> None:
        self.layout = Layout(root)
        self._workers = Workers()
        ground = Ground(self.layout.registries)
        ground.lay()
        self.blobs = LocalBlobs(self.layout, ground, keyring, self._workers)
        self.uploads = LocalUploads(self.layout, ground, keyring, self._workers, self.blobs)
        self.sources = LocalSources(self.layout, ground, keyring, self._workers)
        self.logs = LocalLogs(self.layout, ground, keyring, self._workers)

    async def registries(self) -> list[str]:
        """The uids that have a folder here, for a comparison with the database."""
        return await self._workers.disk(_registries, self.layout.registries)

    async def sweep(self, registry: str, before_us: int) -> int:
        return await self._workers.disk(_sweep, self.layout.registry(registry), before_us)

    async def measure_leftovers(self, registry: str, before_us: int) -> tuple[int, int]:
        return await self._workers.disk(_measure, self.layout.registry(registry), before_us)

    async def close(self) -> None:
        await self._workers.close()


def _registries(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return [name for name in sorted(os.listdir(folder)) if is_registry(name)]
    return []


def _sweep(folder: Path, before_us: int) -> int:
    removed = 0
    for path, _ in _old_temporaries(folder, before_us):
        with suppress(FileNotFoundError):
            os.unlink(path)
            failpoint("sweep.after_unlink")
            removed += 1
    return removed


def _measure(folder: Path, before_us: int) -> tuple[int, int]:
    sizes = [size for _, size in _old_temporaries(folder, before_us)]
    return len(sizes), sum(sizes)


def _old_temporaries(folder: Path, before_us: int) -> Iterator[tuple[Path, int]]:
    """Each with its size."""
    for parent, _, files in os.walk(folder):
        for name in files:
            if is_temporary(name):
                path = Path(parent) / name
                with suppress(FileNotFoundError):
                    status = os.stat(path)
                    if status.st_mtime_ns // 1000 < before_us:
                        yield path, status.st_size
