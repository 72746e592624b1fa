"""Finished blobs in local files, content-addressed per registry."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, DigestInvalid, RequestTooLarge
from darsena.core.failpoints import failpoint
from darsena.storage import disk
from darsena.storage.frames import BLOB, SEGMENT_BYTES
from darsena.storage.ground import Ground
from darsena.storage.kept_blobs import KeptBlobs, identify
from darsena.storage.keyring import Keyring
from darsena.storage.layout import ALGORITHMS, Layout, is_trash, trash_name
from darsena.storage.local_holds import hold, remove_free
from darsena.storage.port import ChooseBlobs, StoredBlob
from darsena.storage.reading import SMALL_SCRATCH_BYTES, StoredObject, pieces, read_small_now
from darsena.storage.workers import Workers

_ANY_TIME_US = 1 << 62


class LocalBlobs:
    def __init__(self, layout: Layout, ground: Ground, keyring: Keyring, workers: Workers) -> None:
        self._layout = layout
        self._ground = ground
        self._keyring = keyring
        self._workers = workers
        self._scratch = bytearray(SMALL_SCRATCH_BYTES)
        """Overwritten by each inline read; only the event loop's thread uses it, and never across an await."""
        self._kept = KeptBlobs()

    async def stat(self, registry: str, digest: Digest) -> int | None:
        return await self._workers.disk(self._stat, registry, digest)

    def read(self, registry: str, digest: Digest, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        return pieces(lambda: self._open(registry, digest), self._workers, self._scratch, start, stop)

    def read_small(self, registry: str, digest: Digest, size_hint: int) -> bytes | None:
        key = self._keyring.find_loaded(registry)
        if key is None or size_hint > SEGMENT_BYTES:
            return None
        kept = self._kept.find(registry, digest)
        if kept is not None:
            return kept
        path = self._layout.blob(registry, digest)
        identity = identify(path)
        content = read_small_now(path, key, registry, BLOB, str(digest), self._scratch)
        if content is not None:
            self._kept.keep(registry, digest, path, identity, content)
        return content

    async def read_whole(self, registry: str, digest: Digest, limit: int) -> bytes:
        return await self._workers.disk(self._read_whole, registry, digest, limit)

    async def delete(self, registry: str, digest: Digest) -> None:
        await self._workers.disk(_delete, self._layout.blob(registry, digest))

    def hold(self, registry: str, digest: Digest) -> AbstractAsyncContextManager[None]:
        return hold(self._workers, self._ground, self._layout.blob(registry, digest).parent)

    async def remove(
        self, registry: str, digests: Sequence[Digest], before_us: int, choose: ChooseBlobs
    ) -> list[StoredBlob]:
        places = {digest: self._layout.blob(registry, digest) for digest in digests}
        return await remove_free(self._workers, places, before_us, choose)

    async def quarantine(self, registry: str, digest: Digest, choose: ChooseBlobs) -> bool:
        places = {digest: self._layout.blob(registry, digest)}
        kept = self._layout.quarantine(registry, digest)
        return bool(await remove_free(self._workers, places, _ANY_TIME_US, choose, kept))

    async def list(self, registry: str) -> AsyncIterator[tuple[Digest, int]]:
        async for found in self.scan(registry):
            yield found.digest, found.stored_bytes

    async def scan(self, registry: str) -> AsyncIterator[StoredBlob]:
        for algorithm in ALGORITHMS:
            parent = self._layout.blobs(registry) / algorithm
            for folder in await self._workers.disk(_names, parent):
                for found in await self._workers.disk(_blobs_in, parent / folder, algorithm):
                    yield found

    async def drop(self, registry: str) -> None:
        await self._workers.disk(self._drop, self._layout.registry(registry))

    def _drop(self, folder: Path) -> None:
        self._ground.check()
        trash = folder.with_name(trash_name())
        with suppress(FileNotFoundError):
            os.rename(folder, trash)
            disk.sync_folder(folder.parent)
        with suppress(FileNotFoundError):
            for entry in list(folder.parent.iterdir()):  # also what an interrupted drop left
                if is_trash(entry.name):
                    disk.remove_tree(entry)

    def _stat(self, registry: str, digest: Digest) -> int | None:
        try:
            stored = self._open(registry, digest)
        except BlobUnknown:
            return None
        stored.close()
        return stored.size

    def _open(self, registry: str, digest: Digest) -> StoredObject:
        key = self._keyring.key(registry)
        try:
            return StoredObject.open(self._layout.blob(registry, digest), key, registry, BLOB, str(digest))
        except FileNotFoundError:
            self._ground.check()
            raise BlobUnknown(str(digest)) from None

    def _read_whole(self, registry: str, digest: Digest, limit: int) -> bytes:
        stored = self._open(registry, digest)
        try:
            if stored.size > limit:
                raise RequestTooLarge(f"the blob {digest}", limit)
            return b"".join(stored.read_frame(index) for index in range(stored.frames))
        finally:
            stored.close()


def _delete(path: Path) -> None:
    failpoint("delete.before_unlink")
    with suppress(FileNotFoundError):
        os.unlink(path)
        failpoint("delete.after_unlink")
        disk.sync_folder(path.parent)
    failpoint("delete.after_sync")


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(folder))
    return []


def _blobs_in(folder: Path, algorithm: str) -> list[StoredBlob]:
    found: list[StoredBlob] = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(DigestInvalid, FileNotFoundError):
                digest, status = Digest.parse(f"{algorithm}:{entry.name}"), entry.stat(follow_symlinks=False)
                written_us = status.st_mtime_ns // 1000
                found.append(StoredBlob(digest=digest, stored_bytes=status.st_size, written_us=written_us))
    return found
