"""Blob uploads: begun, continued, committed, mounted, cancelled. Bytes first, then the row and its event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, DigestMismatch, Problem, RangeNotSatisfiable, RequestTooLarge
from darsena.core.failpoints import failpoint
from darsena.core.names import RepositoryName
from darsena.db import Database, Tx
from darsena.registry.events import BlobAdded, BlobLinked
from darsena.registry.limit import take_room
from darsena.registry.model import Registry, Repository
from darsena.registry.open_uploads import OpenUploads
from darsena.registry.repository import ensure_repository
from darsena.registry.store import blobs, repositories, uploads
from darsena.storage.keyring import Keyring
from darsena.storage.port import WHOLE_BYTES, BlobStore, UploadStore
from darsena.storage.workers import settle

LARGEST_LAYER_BYTES = 200 * 1024**3
"""Of every tier."""

Chunks = AsyncIterator[bytes]


class Uploading:
    """One upload is written by one request at a time; it belongs to its repository and principal."""

    def __init__(
        self,
        db: Database,
        store: UploadStore,
        blob_store: BlobStore,
        keyring: Keyring,
        *,
        largest_bytes: int = LARGEST_LAYER_BYTES,
    ) -> None:
        self._largest_bytes = largest_bytes
        self._db = db
        self._store = store
        self._blobs = blob_store
        self._open = OpenUploads(db, store, keyring)
        self._busy: set[str] = set()

    async def begin(self, registry: Registry, repository: RepositoryName, principal: str) -> str:
        """The new upload's id. Raises Locked when the repository takes no pushes."""
        return await self._open.begin(registry, repository, principal)

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
        """The durable number of bytes. Raises UploadUnknown.

        Who asks after a broken connection is to hear where the upload stands when that request has ended, so one that
        is being written to is waited for a moment.
        """
        stored = await self._open.is_stored(registry, repository, uid, principal)
        if uid in self._busy:
            await self._wait_until_free(uid, tries=20)
            stored = await self._open.is_stored(registry, repository, uid, principal)
        return await self._store.offset(registry.uid, uid) if stored else 0

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
        async with self._one_at_a_time(registry, repository, uid, principal) as stored:
            offset = await self._store.offset(registry.uid, uid) if stored else 0
            _check_place(offset, at)
            if not stored:
                await self._open.store(registry, repository, uid, principal)
            return self._check_size(await self._store.append(registry.uid, uid, offset, chunks))

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
        async with self._one_at_a_time(registry, repository, uid, principal) as stored:
            whole: bytes | None = None
            if not stored:
                _check_place(0, at)
                whole, chunks = await self._take_first(registry, repository, uid, principal, chunks)
            if whole is None:
                await self._append_last(registry.uid, uid, chunks, at)
            async with self._blobs.hold(registry.uid, expected):  # gc keeps off until the row is there (see gc.py)
                try:
                    size = await self._commit(registry.uid, uid, whole, expected)
                except DigestMismatch:
                    if whole is not None:
                        await self._keep(registry, repository, uid, principal, whole)
                    raise
                failpoint("push.after_blob_commit")
                row = None if whole is not None else uid
                linking = self._db.transact(self._add_and_link, registry, repository, expected, size, row)
                await settle([asyncio.ensure_future(linking)])  # a cancelled caller holds on to its end too
            self._open.end(uid)
            failpoint("push.after_blob_link")
        return size

    async def _take_first(
        self, registry: Registry, repository: RepositoryName, uid: str, principal: str, chunks: Chunks | None
    ) -> tuple[bytes | None, Chunks | None]:
        """The content, if it is small: then it is put in one go. Else the upload is stored, and all is still to come.

        What came before the stream broke off is kept, as of any upload.
        """
        parts: list[bytes] = []
        size = 0
        try:
            while chunks is not None and size <= WHOLE_BYTES:
                chunk = await anext(chunks, None)
                if chunk is None:
                    chunks = None
                    break
                parts.append(chunk)
                size += len(chunk)
        except BaseException:
            with suppress(Problem):  # the first failure is the one to tell
                await self._keep(registry, repository, uid, principal, b"".join(parts))
            raise
        if chunks is None and size <= WHOLE_BYTES:
            return b"".join(parts), None
        await self._open.store(registry, repository, uid, principal)
        return None, _chain(parts, chunks)

    async def _keep(
        self, registry: Registry, repository: RepositoryName, uid: str, principal: str, content: bytes
    ) -> None:
        """Store what came of an upload that did not become a blob in one go: it may be continued."""
        await self._open.store(registry, repository, uid, principal)
        await self._store.append(registry.uid, uid, 0, _chain([content] if content else [], None))

    async def _append_last(self, registry_uid: str, uid: str, chunks: Chunks | None, at: int | None) -> None:
        offset = await self._store.offset(registry_uid, uid)
        if chunks is None:
            self._check_size(offset)
            return
        _check_place(offset, at)
        self._check_size(await self._store.append(registry_uid, uid, offset, chunks, sync=False))

    async def _commit(self, registry_uid: str, uid: str, whole: bytes | None, expected: Digest) -> int:
        if whole is None:
            return await self._store.commit(registry_uid, uid, expected)
        self._check_size(len(whole))
        return await self._store.put(registry_uid, whole, expected)

    def _check_size(self, offset: int) -> int:
        """Raise RequestTooLarge for an upload that will be no layer: it can be cancelled, or expires."""
        if offset > self._largest_bytes:
            raise RequestTooLarge("the blob", self._largest_bytes)
        return offset

    async def cancel(self, registry: Registry, repository: RepositoryName, uid: str, principal: str) -> None:
        async with self._one_at_a_time(registry, repository, uid, principal) as stored:
            if stored:
                await self._db.transact(uploads.remove, uid)
                failpoint("cancel.after_row")
                await self._store.abort(registry.uid, uid)
                failpoint("cancel.after_bytes")
            self._open.end(uid)

    async def mount(
        self, registry: Registry, repository: RepositoryName, digest: Digest, sources: Sequence[str]
    ) -> bool:
        """Link a blob that one of the `sources` (repositories the caller may read) holds; False when none does."""

        def write(tx: Tx) -> bool:
            size = self._find_in(tx, registry, digest, sources)
            if size is None:
                return False
            found = ensure_repository(tx, registry, repository)
            failpoint("mount.after_repository")
            if not blobs.keep(tx, registry.uid, digest):
                raise BlobUnknown(str(digest))
            failpoint("mount.before_link")
            self._link(tx, registry, found, digest)
            failpoint("mount.after_link")
            return True

        try:
            mounted = await self._db.transact(write)
            failpoint("mount.after_transaction")
            return mounted
        except BlobUnknown:
            return False  # gc was faster: the client uploads it

    async def list_holders(
        self, registry: Registry, digest: Digest, names: Sequence[str], may_read: Callable[[str], bool] | None
    ) -> list[str]:
        """Some repositories that hold the blob and may be read: where a mount without `from` takes it.

        They are looked for among `names`, then among all that `may_read` admits. Without it only `names` are looked at,
        so that the time tells nothing of repositories that may not be read.
        """

        def read(tx: Tx) -> list[str]:
            for name in names:
                if self._find_in(tx, registry, digest, [name]) is not None:
                    return [name]
            readable: list[str] = []
            if may_read is None:
                return readable
            last = ""
            while not readable and (page := blobs.list_repositories_with(tx, registry.uid, digest, last)):
                readable, last = list(filter(may_read, page)), page[-1]
            return readable

        return await self._db.read(read)

    async def expire(self) -> int:
        """Remove uploads whose time is over; returns how many."""
        count = 0
        while expired := await self._db.read(uploads.list_expired):
            for registry_uid, uid in expired:
                await self._store.abort(registry_uid, uid)
                failpoint("expire.after_bytes")
                await self._db.transact(uploads.remove, uid)
                failpoint("expire.after_row")
            count += len(expired)
        return count

    # --- inside -------------------------------------------------------------------------------------------------

    def _find_in(self, tx: Tx, registry: Registry, digest: Digest, sources: Sequence[str]) -> int | None:
        for name in sources:
            source = repositories.find(tx, registry.uid, name)
            if source is None or not source.attributes.read_enabled:
                continue
            size = blobs.find_linked_size(tx, registry.uid, source.id, digest)
            if size is not None:
                return size
        return None

    def _add_and_link(
        self, tx: Tx, registry: Registry, name: RepositoryName, digest: Digest, size: int, uid: str | None
    ) -> None:
        repository = ensure_repository(tx, registry, name)
        failpoint("push.after_repository")
        is_new = blobs.add(tx, registry.uid, digest, size)
        if is_new:
            tx.emit(registry.stream, BlobAdded(digest=str(digest), size=size))
        failpoint("push.after_blob_row")
        self._link(tx, registry, repository, digest)
        failpoint("push.after_link_row")
        if uid is not None:
            uploads.remove(tx, uid)
        if is_new:
            take_room(tx, registry, size)

    def _link(self, tx: Tx, registry: Registry, repository: Repository, digest: Digest) -> None:
        if blobs.link(tx, repository.id, digest):
            tx.emit(registry.stream, BlobLinked(repository=repository.name, digest=str(digest)))

    @asynccontextmanager
    async def _one_at_a_time(
        self, registry: Registry, repository: RepositoryName, uid: str, principal: str
    ) -> AsyncGenerator[bool]:
        """Gives whether bytes of the upload are stored. Raises UploadUnknown.

        A second request on an upload waits a moment for the first to notice that its client has gone.
        """
        if uid in self._busy:  # whom it does not belong to does not wait for it
            await self._open.is_stored(registry, repository, uid, principal)
        if not await self._wait_until_free(uid, tries=100):
            offset = await self.offset(registry, repository, uid, principal)
            raise RangeNotSatisfiable("another request is writing to this upload; go on when it has ended", offset)
        self._busy.add(uid)
        try:
            yield await self._open.is_stored(registry, repository, uid, principal)
        finally:
            self._busy.discard(uid)

    async def _wait_until_free(self, uid: str, *, tries: int) -> bool:
        for _ in range(tries):
            if uid not in self._busy:
                return True
            await asyncio.sleep(0.05)
        return uid not in self._busy


def _check_place(offset: int, at: int | None) -> None:
    """Raises RangeNotSatisfiable where a client would go on at another byte than the upload's end."""
    if at is not None and at != offset:
        raise RangeNotSatisfiable(f"the upload stands at byte {offset}, not at {at}: continue there", offset)


async def _chain(parts: list[bytes], rest: Chunks | None) -> Chunks:
    for part in parts:
        yield part
    if rest is not None:
        async for chunk in rest:
            yield chunk
