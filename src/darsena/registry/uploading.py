"""Blob uploads: begun, continued, committed, mounted, cancelled. Bytes first, then the row and its event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, Locked, Problem, RangeNotSatisfiable, ResourceUnknown, UploadUnknown
from darsena.core.failpoints import failpoint
from darsena.core.ids import new_uid
from darsena.core.names import RepositoryName
from darsena.db import Database, Tx
from darsena.registry.events import BlobAdded, BlobLinked, RepositoryCreated
from darsena.registry.model import Registry, Repository
from darsena.registry.store import blobs, repositories, uploads
from darsena.storage.port import BlobStore, UploadStore
from darsena.storage.workers import settle

UPLOAD_LIFETIME_US = 7 * 86_400 * 1_000_000
"""An upload that is not continued for a week is removed."""

Chunks = AsyncIterator[bytes]


class Uploading:
    """One upload is written by one request at a time; it belongs to its repository and principal."""

    def __init__(self, db: Database, store: UploadStore, blob_store: BlobStore) -> None:
        self._db = db
        self._store = store
        self._blobs = blob_store
        self._busy: set[str] = set()

    async def begin(self, registry: Registry, repository: RepositoryName, principal: str) -> str:
        """The new upload's id. Raises Locked when the repository takes no pushes."""
        uid = new_uid()

        def write(tx: Tx) -> None:
            check_writable(repositories.find(tx, registry.uid, repository))
            uploads.insert_new(tx, uid, registry.uid, repository, principal, UPLOAD_LIFETIME_US)

        await self._db.transact(write)
        await self._store.begin(registry.uid, uid)
        return uid

    async def put(
        self, registry: Registry, repository: RepositoryName, principal: str, chunks: Chunks, expected: Digest
    ) -> int:
        """A whole blob in one go; nobody could continue it, so nothing stays of one that fails."""
        uid = await self.begin(registry, repository, principal)
        try:
            return await self.finish(registry, repository, uid, principal, chunks, expected)
        except BaseException:
            with suppress(Problem):  # else it expires
                await self.cancel(registry, repository, uid, principal)
            raise

    async def offset(self, registry: Registry, repository: RepositoryName, uid: str, principal: str) -> int:
        """The durable number of bytes. Raises UploadUnknown."""
        await self._check_open(registry, repository, uid, principal)
        return await self._store.offset(registry.uid, uid)

    async def append(
        self,
        registry: Registry,
        repository: RepositoryName,
        uid: str,
        principal: str,
        chunks: Chunks,
        *,
        at: int | None = None,
    ) -> int:
        """Write at `at` (None: wherever the upload stands) and return the new durable offset."""
        await self._check_open(registry, repository, uid, principal)
        async with self._one_at_a_time(registry.uid, uid):
            offset = await self._store.offset(registry.uid, uid)
            if at is not None and at != offset:
                raise RangeNotSatisfiable(f"the upload stands at byte {offset}, not at {at}: continue there", offset)
            return await self._store.append(registry.uid, uid, offset, chunks)

    async def finish(
        self,
        registry: Registry,
        repository: RepositoryName,
        uid: str,
        principal: str,
        chunks: Chunks | None,
        expected: Digest,
        *,
        at: int | None = None,
    ) -> int:
        """Append the last bytes, check the digest, make the blob known to the repository; returns its size."""
        await self._check_open(registry, repository, uid, principal)
        async with self._one_at_a_time(registry.uid, uid):
            if chunks is not None:
                await self._append_last(registry.uid, uid, chunks, at)
            async with self._blobs.hold(registry.uid, expected):  # gc keeps off until the row is there (see gc.py)
                size = await self._store.commit(registry.uid, uid, expected)
                failpoint("push.after_blob_commit")
                linking = self._db.transact(self._add_and_link, registry, repository, expected, size, uid)
                await settle([asyncio.ensure_future(linking)])  # a cancelled caller holds on to its end too
            failpoint("push.after_blob_link")
        return size

    async def _append_last(self, registry_uid: str, uid: str, chunks: Chunks, at: int | None) -> None:
        offset = await self._store.offset(registry_uid, uid)
        if at is not None and at != offset:
            raise RangeNotSatisfiable(f"the upload stands at byte {offset}, not at {at}: continue there", offset)
        await self._store.append(registry_uid, uid, offset, chunks, sync=False)

    async def cancel(self, registry: Registry, repository: RepositoryName, uid: str, principal: str) -> None:
        await self._check_open(registry, repository, uid, principal)
        async with self._one_at_a_time(registry.uid, uid):
            await self._db.transact(uploads.remove, uid)
            await self._store.abort(registry.uid, uid)

    async def mount(self, registry: Registry, repository: RepositoryName, digest: Digest, sources: list[str]) -> bool:
        """Link a blob that one of the `sources` (repositories the caller may read) holds; False when none does."""

        def write(tx: Tx) -> bool:
            size = self._find_in(tx, registry, digest, sources)
            if size is None:
                return False
            found = ensure_repository(tx, registry, repository)
            if not blobs.keep(tx, registry.uid, digest):
                raise BlobUnknown(str(digest))
            self._link(tx, registry, found, digest)
            return True

        try:
            return await self._db.transact(write)
        except BlobUnknown:
            return False  # gc was faster: the client uploads it

    async def list_holders(self, registry: Registry, digest: Digest) -> list[str]:
        """Repositories that hold the blob: candidates for a mount without `from`."""
        return await self._db.read(blobs.list_repositories_with, registry.uid, digest)

    async def expire(self) -> int:
        """Remove uploads whose time is over; returns how many."""
        count = 0
        while expired := await self._db.read(uploads.list_expired):
            for registry_uid, uid in expired:
                await self._store.abort(registry_uid, uid)
                await self._db.transact(uploads.remove, uid)
            count += len(expired)
        return count

    # --- inside -------------------------------------------------------------------------------------------------

    def _find_in(self, tx: Tx, registry: Registry, digest: Digest, sources: list[str]) -> int | None:
        for name in sources:
            source = repositories.find(tx, registry.uid, name)
            if source is None or not source.attributes.read_enabled:
                continue
            size = blobs.find_linked_size(tx, registry.uid, source.id, digest)
            if size is not None:
                return size
        return None

    def _add_and_link(
        self, tx: Tx, registry: Registry, name: RepositoryName, digest: Digest, size: int, uid: str
    ) -> None:
        repository = ensure_repository(tx, registry, name)
        if blobs.add(tx, registry.uid, digest, size):
            tx.emit(registry.stream, BlobAdded(digest=str(digest), size=size))
        self._link(tx, registry, repository, digest)
        uploads.remove(tx, uid)

    def _link(self, tx: Tx, registry: Registry, repository: Repository, digest: Digest) -> None:
        if blobs.link(tx, repository.id, digest):
            tx.emit(registry.stream, BlobLinked(repository=repository.name, digest=str(digest)))

    async def _check_open(self, registry: Registry, repository: RepositoryName, uid: str, principal: str) -> None:
        if not await self._db.read(uploads.is_open, uid, registry.uid, repository, principal):
            raise UploadUnknown(uid)

    @asynccontextmanager
    async def _one_at_a_time(self, registry_uid: str, uid: str) -> AsyncGenerator[None]:
        """A second request on an upload waits a moment for the first to notice that its client has gone."""
        for _ in range(100):
            if uid not in self._busy:
                break
            await asyncio.sleep(0.05)
        else:
            offset = await self._store.offset(registry_uid, uid)
            raise RangeNotSatisfiable("another request is writing to this upload; go on when it has ended", offset)
        self._busy.add(uid)
        try:
            yield
        finally:
            self._busy.discard(uid)


def ensure_repository(tx: Tx, registry: Registry, name: RepositoryName) -> Repository:
    """The repository, made on its first push, locked against other writers.

    Raises Locked, and ResourceUnknown when the registry was deleted meanwhile.
    """
    found = repositories.find(tx, registry.uid, name, lock=True)
    if found is None:
        found = _create_repository(tx, registry, name)
    check_writable(found)
    return found


def _create_repository(tx: Tx, registry: Registry, name: RepositoryName) -> Repository:
    if not repositories.lock_registry(tx, registry.uid):
        raise ResourceUnknown("the registry was deleted")
    found = repositories.find(tx, registry.uid, name, lock=True)  # made while we waited for the lock
    if found is None:
        found = repositories.insert_new(tx, registry.uid, name)
        tx.emit(registry.stream, RepositoryCreated(repository=name))
    return found


def check_writable(repository: Repository | None) -> None:
    if repository is not None and not repository.attributes.write_enabled:
        raise Locked(f"the repository {repository.name} is locked against writing (writeEnabled is false)")
