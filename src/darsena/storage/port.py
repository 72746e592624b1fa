"""What the rooms above need of a store. Everything is keyed by a registry's uid and is encrypted under its data key.

Sizes, offsets and digests are of the plaintext. A method that returns has made its effect durable; one that raises has
changed nothing that a reader can see. StorageFull: the disk is full. Unavailable: the disk, or the key, cannot be used
now. ContentCorrupt: stored bytes do not match their authentication tag; they are never returned.
ResourceUnknown: the registry's key is destroyed, so nothing of it can ever be read again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from darsena.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """An open upload as the store sees it, for gc."""

    upload: str
    stored_bytes: int
    written_us: int
    """When it was last written, by the store's own clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A finished blob as the store sees it, for gc and comparisons with the database."""

    digest: Digest
    stored_bytes: int
    written_us: int
    """When its bytes were put there, by the store's own clock."""


ChooseBlobs = Callable[[Sequence[Digest]], Awaitable[set[Digest]]]


WHOLE_BYTES = 1 << 20
"""What is put in one go, without an upload that could be continued: at most one segment."""


class BlobReader(Protocol):
    async def stat(self, registry: str, digest: Digest) -> int | None:
        """The blob's size, or None."""
        ...

    def read(self, registry: str, digest: Digest, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, stop) in pieces of bounded size; `stop` past the end means the end.

        Raises BlobUnknown, RangeNotSatisfiable (start past the end), all before the first piece; ContentCorrupt.
        Await something real between pieces (`asyncio.sleep(0)`): when pages are cached this never yields by itself.
        """
        ...

    def read_small(self, registry: str, digest: Digest, size_hint: int) -> bytes | None:
        """The whole blob at once, in the event loop; None when it is larger than one segment or would have to wait.

        None also stands for an absent blob: fall back on `read_whole` or `read`, which say why.
        """
        ...

    async def read_whole(self, registry: str, digest: Digest, limit: int) -> bytes:
        """Raises BlobUnknown, RequestTooLarge above `limit` bytes."""
        ...


class BlobStore(BlobReader, Protocol):
    """Content-addressed bytes of each registry."""

    async def delete(self, registry: str, digest: Digest) -> None:
        """Idempotent. A read that has begun goes on to its end."""
        ...

    def list(self, registry: str) -> AsyncIterator[tuple[Digest, int]]:
        """(digest, stored bytes), in no order."""
        ...

    def scan(self, registry: str) -> AsyncIterator[StoredBlob]:
        """`list`, with the time of each."""
        ...

    def hold(self, registry: str, digest: Digest) -> AbstractAsyncContextManager[None]:
        """While held, by any number of holders, `remove` passes this blob over.

        Held by whoever puts bytes there, or finds them there, until the row that needs them is committed.
        """
        ...

    async def remove(
        self, registry: str, digests: Sequence[Digest], before_us: int, choose: ChooseBlobs
    ) -> list[StoredBlob]:
        """Remove those that nobody holds, that were written before `before_us`, and that `choose` names.

        `choose` is asked while no new holder is let in, so what it says stays true until the bytes are gone. Holders
        wait no longer than it takes to answer and to rename. Not durable: after a power cut the bytes may be there
        again, as garbage. Returns what was removed.
        """
        ...

    async def quarantine(self, registry: str, digest: Digest, choose: ChooseBlobs) -> bool:
        """As `remove` of one, of whatever age, except that the bytes are kept where nothing reads them."""
        ...

    async def drop(self, registry: str) -> None:
        """Remove everything of the registry: blobs, uploads, sources, logs. Idempotent."""
        ...


class UploadStore(Protocol):
    """Open blob uploads: written in order, resumable at `offset`, made a blob by `commit`."""

    async def begin(self, registry: str, upload: str) -> None:
        """Idempotent while nothing is written."""
        ...

    async def append(
        self, registry: str, upload: str, offset: int, chunks: AsyncIterator[bytes], *, sync: bool = True
    ) -> int:
        """Write `chunks` at `offset` and return the new durable offset.

        Raises UploadUnknown, RangeNotSatisfiable(size=the durable offset) when `offset` is not that. When `chunks`
        raises, or the caller is cancelled, what was received is made durable first. `sync=False` leaves
        durability to a `commit` that follows at once.
        """
        ...

    async def offset(self, registry: str, upload: str) -> int:
        """The durable offset; does not wait for an `append` in progress. Raises UploadUnknown."""
        ...

    async def commit(self, registry: str, upload: str, expected: Digest) -> int:
        """Make the upload the blob `expected` and return its size.

        Raises DigestMismatch (the upload stays as it is), UploadUnknown. When the upload is gone and the blob is
        there, an earlier commit did it: returns the size.
        """
        ...

    async def abort(self, registry: str, upload: str) -> None:
        """Idempotent."""
        ...

    async def put(self, registry: str, content: bytes, expected: Digest) -> int:
        """Make these bytes, at most WHOLE_BYTES, the blob `expected` without an upload; returns their number.

        Raises DigestMismatch; nothing stays then, nor after any other error.
        """
        ...

    def list(self, registry: str) -> AsyncIterator[StoredUpload]: ...


class ObjectStore(Protocol):
    """Build sources: named objects, put whole or staged by blocks. A name is any text; it never becomes a path."""

    async def put(self, registry: str, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Create or replace, whole or not at all; returns the size."""
        ...

    async def stage_block(self, registry: str, name: str, block_id: str, chunks: AsyncIterator[bytes]) -> int:
        """Create or replace one block, which no reader sees until `commit_blocks`; returns its size."""
        ...

    async def commit_blocks(self, registry: str, name: str, block_ids: list[str]) -> int:
        """Make the blocks, in this order, the object; drop the others; returns the size.

        Raises UploadInvalid for a block that was not staged. Repeating the last commit succeeds.
        """
        ...

    async def stat(self, registry: str, name: str) -> int | None: ...

    def read(self, registry: str, name: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """As BlobReader.read; raises ResourceUnknown for an absent object."""
        ...

    async def delete(self, registry: str, name: str) -> None:
        """Remove the object and its staged blocks. Idempotent."""
        ...


class LogStore(Protocol):
    """Run logs: append-only, read by byte range while they grow.

    A log has no end mark, so it needs no rewriting when it is complete: how long it must be, its run's row says.
    """

    async def append(self, registry: str, name: str, offset: int, data: bytes) -> int:
        """Write `data` at `offset`, creating the log at 0, and return the new size.

        Bytes below the present size are skipped, so a repeated append changes nothing. Raises
        RangeNotSatisfiable(size=present size) for a gap.
        """
        ...

    async def size(self, registry: str, name: str) -> int | None: ...

    async def read(self, registry: str, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes [start, stop), cut to what is there; nothing past the end. Raises ResourceUnknown if absent."""
        ...

    async def delete(self, registry: str, name: str) -> None:
        """Idempotent."""
        ...


class Storage(Protocol):
    """The four together, as the composition root makes them."""

    @property
    def blobs(self) -> BlobStore: ...
    @property
    def uploads(self) -> UploadStore: ...
    @property
    def sources(self) -> ObjectStore: ...
    @property
    def logs(self) -> LogStore: ...

    async def sweep(self, registry: str, before_us: int) -> int:
        """Remove what interrupted writes left behind and was last written before `before_us`; returns how many."""
        ...

    async def measure_leftovers(self, registry: str, before_us: int) -> tuple[int, int]:
        """(number, stored bytes) of what `sweep` would remove."""
        ...

    async def close(self) -> None:
        """Wait for writes in progress and give back threads and descriptors."""
        ...
