"""How fast garbage goes, and how long a push waits meanwhile: the retention policy, a repository's deletion, and gc.

A folder of its own is filled by ordinary pushes to one tag, which leave their manifests untagged; then the policy takes
half of them, the repository's deletion the others, and gc their blobs, while another repository is pushed to all the
time. Wanted: 1,000 manifests and 500 blobs a second, and no push that waits longer than a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darsena.core import media_types
from darsena.core.digest import Digest
from darsena.core.names import RepositoryName, TagName
from darsena.db import Database
from darsena.db.migrate import create as create_schema
from darsena.journal import append, registry_stream
from darsena.registry.gc import GarbageCollector
from darsena.registry.model import Registry
from darsena.registry.retention import Policy, Retention
from darsena.registry.service import RegistryService
from darsena.storage import Keyring, LocalStorage, RootKeyFile

UID = "c" * 32
REGISTRY = Registry(uid=UID, stream=registry_stream(UID, "local"))
OLD, BUSY, ME = RepositoryName("old/images"), RepositoryName("busy/images"), "user:bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifests", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="darsena-bench-gc-") as folder:
        asyncio.run(measure(Path(folder), options.manifests))


async def measure(folder: Path, number: int) -> None:
    bench = open_bench(folder)
    begun = time.perf_counter()
    await bench.fill(number)
    report("pushed", number, "manifests", time.perf_counter() - begun)
    half = number // 2
    await bench.watched("retention policy", "manifests", lambda: bench.sweep(half))
    await bench.watched("repository deleted", "manifests", bench.delete_repository)
    await bench.watched("gc", "blobs", bench.collect)
    await bench.storage.close()
    bench.db.close()


@dataclass
class Bench:
    db: Database
    storage: LocalStorage
    service: RegistryService

    # --- what makes garbage -----------------------------------------------------------------------------------------

    async def fill(self, number: int) -> None:
        """One after the other in each of eight lines."""

        async def line(first: int) -> None:
            for index in range(first, number, 8):
                await self.push(OLD, f"line{first}", index)

        await asyncio.gather(*(line(first) for first in range(8)))

    async def push(self, repository: RepositoryName, tag: str, index: int) -> None:
        config, layer = (json.dumps([what, repository, index]).encode() for what in ("config", "layer"))
        await self.push_blobs(repository, config, layer)
        content = json.dumps(make_image(config, layer)).encode()
        kind = media_types.DOCKER_MANIFEST
        await self.service.manifests.put(REGISTRY, repository, TagName(tag), content, kind)

    async def push_blobs(self, repository: RepositoryName, *contents: bytes) -> None:
        for content in contents:
            digest = Digest.of(content)
            await self.service.uploading.put(REGISTRY, repository, ME, chunks(content), digest)

    # --- what takes it away -----------------------------------------------------------------------------------------

    async def sweep(self, number: int) -> int:
        """The oldest so many: those that were untagged before the rest."""
        now_us = self.db.clock.now_us()
        since = self.db.read_sync(
            lambda tx: tx.connection.exec_driver_sql(
                f"SELECT since FROM untagged ORDER BY since LIMIT 1 OFFSET {number}"
            ).scalar_one()
        )

        async def list_policies() -> list[Policy]:
            return [Policy(registry=REGISTRY, since_us=0, keep_us=now_us - since)]

        return await Retention(self.db, self.service.deleting, list_policies).sweep()

    async def delete_repository(self) -> int:
        gone = await self.service.deleting.delete_repository(REGISTRY, OLD)
        return len(gone.manifests)

    async def collect(self) -> int:
        async def list_registries() -> list[Registry]:
            return [REGISTRY]

        gc = GarbageCollector(self.db, self.storage, list_registries)
        plan = await gc.plan(grace_s=0)
        run = await gc.start(grace_s=0)
        await gc.run_due()
        ended = await gc.get(run.id)
        assert ended is not None
        assert ended.status == "Succeeded"
        removed = ended.progress.blobs_removed
        print(f"  planned {plan.blobs.number:,} blobs and {plan.links:,} links, removed {removed:,}")
        return removed

    # --- meanwhile --------------------------------------------------------------------------------------------------

    async def watched(self, what: str, unit: str, work: Callable[[], Awaitable[int]]) -> None:
        """Do it while the other repository is pushed to, and say how fast it was and how long a push took."""
        stop = asyncio.Event()
        longest: list[float] = []
        pusher = asyncio.create_task(self.push_on(stop, longest))
        begun = time.perf_counter()
        number = await work()
        seconds = time.perf_counter() - begun
        stop.set()
        await pusher
        report(what, number, unit, seconds, longest)

    async def push_on(self, stop: asyncio.Event, times: list[float]) -> None:
        index = 0
        while not stop.is_set():
            begun = time.perf_counter()
            await self.push(BUSY, "latest", index)
            times.append(time.perf_counter() - begun)
            index += 1


def report(what: str, number: int, unit: str, seconds: float, pushes: list[float] | None = None) -> None:
    text = f"{what:<20}{number:>9,} {unit:<10}{number / seconds:>9,.0f}/s"
    if pushes:
        text += f"   {len(pushes)} pushes meanwhile, the longest {max(pushes) * 1000:,.0f} ms"
    print(text, flush=True)


def make_image(config: bytes, *layers: bytes) -> dict[str, Any]:
    def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}

    return {
        "schemaVersion": 2,
        "mediaType": media_types.DOCKER_MANIFEST,
        "config": descriptor(config, media_types.DOCKER_CONFIG),
        "layers": [descriptor(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip") for layer in layers],
    }


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


def open_bench(folder: Path) -> Bench:
    db = Database(f"sqlite:///{folder / 'darsena.db'}", before_commit=append)
    create_schema(db.engine)
    keyring = Keyring(RootKeyFile.create(folder / "keys" / "root.key"), db.read_sync)
    db.transact_sync(keyring.create, UID)
    storage = LocalStorage(folder, keyring)
    return Bench(db, storage, RegistryService(db, storage, keyring))


if __name__ == "__main__":
    main()
