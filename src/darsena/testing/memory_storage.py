"""The four storage ports in memory. Passes the same suite as the store in local files; nothing outlives the object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from darsena.core.clock import Clock, SystemClock
from darsena.core.digest import Digest
from darsena.core.errors import (
    BlobUnknown,
    RangeNotSatisfiable,
    RequestTooLarge,
    ResourceUnknown,
    UploadInvalid,
    UploadUnknown,
)
from darsena.storage.port import ChooseBlobs, StoredBlob, StoredUpload

_PIECE_BYTES = 256 << 10
_SMALL_BYTES = 1 << 20


@dataclass(slots=True)
class _Upload:
    written_us: int
    content: bytearray = field(default_factory=bytearray)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Registry:
    blobs: dict[Digest, bytes] = field(default_factory=dict[Digest, bytes])
    written: dict[Digest, int] = field(default_factory=dict[Digest, int])
    held: dict[Digest, int] = field(default_factory=dict[Digest, int])
    """How many holders each blob has."""
    removing: asyncio.Lock = field(default_factory=asyncio.Lock)
    uploads: dict[str, _Upload] = field(default_factory=dict[str, _Upload])
    sources: dict[str, bytes] = field(default_factory=dict[str, bytes])
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    joined: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    logs: dict[str, bytearray] = field(default_factory=dict[str, bytearray])


class _Registries:
    def __init__(self) -> None:
        self.by_uid: dict[str, _Registry] = {}

    def __getitem__(self, uid: str) -> _Registry:
        return self.by_uid.setdefault(uid, _Registry())


class MemoryStorage:
    def __init__(self, clock: Clock | None = None) -> None:
        registries = _Registries()
        self.blobs = MemoryBlobs(registries)
        self.uploads = MemoryUploads(registries, clock or SystemClock())
        self.sources = MemorySources(registries)
        self.logs = MemoryLogs(registries)

    async def sweep(self, registry: str, before_us: int) -> int:
        return 0

    async def measure_leftovers(self, registry: str, before_us: int) -> tuple[int, int]:
        return 0, 0

    async def close(self) -> None:
        return None


class MemoryBlobs:
    def __init__(self, registries: _Registries) -> None:
        self._registries = registries

    async def stat(self, registry: str, digest: Digest) -> int | None:
        content = self._registries[registry].blobs.get(digest)
        return None if content is None else len(content)

    async def read(
        self, registry: str, digest: Digest, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        for piece in _pieces(self._get(registry, digest), start, stop):
            yield piece

    def read_small(self, registry: str, digest: Digest, size_hint: int) -> bytes | None:
        content = self._registries[registry].blobs.get(digest)
        return content if content is not None and len(content) <= _SMALL_BYTES else None

    async def read_whole(self, registry: str, digest: Digest, limit: int) -> bytes:
        content = self._get(registry, digest)
        if len(content) > limit:
            raise RequestTooLarge(f"the blob {digest}", limit)
        return content

    async def delete(self, registry: str, digest: Digest) -> None:
        self._registries[registry].blobs.pop(digest, None)

    async def list(self, registry: str) -> AsyncIterator[tuple[Digest, int]]:
        async for found in self.scan(registry):
            yield found.digest, found.stored_bytes

    async def scan(self, registry: str) -> AsyncIterator[StoredBlob]:
        here = self._registries[registry]
        for digest in list(here.blobs):
            yield _stored(here, digest)

    @asynccontextmanager
    async def hold(self, registry: str, digest: Digest) -> AsyncGenerator[None]:
        here = self._registries[registry]
        async with here.removing:
            here.held[digest] = here.held.get(digest, 0) + 1
        try:
            yield
        finally:
            here.held[digest] -= 1

    async def remove(
        self, registry: str, digests: Sequence[Digest], before_us: int, choose: ChooseBlobs
    ) -> list[StoredBlob]:
        here = self._registries[registry]
        async with here.removing:
            free = [digest for digest in digests if digest in here.blobs and not here.held.get(digest)]
            chosen = await choose(free)
            going = [_stored(here, digest) for digest in free if digest in chosen]
            going = [found for found in going if found.written_us < before_us]
            for found in going:
                here.blobs.pop(found.digest, None)
        return going

    async def quarantine(self, registry: str, digest: Digest, choose: ChooseBlobs) -> bool:
        return bool(await self.remove(registry, [digest], 1 << 62, choose))

    async def drop(self, registry: str) -> None:
        self._registries.by_uid.pop(registry, None)

    def _get(self, registry: str, digest: Digest) -> bytes:
        content = self._registries[registry].blobs.get(digest)
        if content is None:
            raise BlobUnknown(str(digest))
        return content


class MemoryUploads:
    def __init__(self, registries: _Registries, clock: Clock) -> None:
        self._registries = registries
        self._clock = clock

    async def begin(self, registry: str, upload: str) -> None:
        self._registries[registry].uploads.setdefault(upload, _Upload(self._clock.now_us()))

    async def append(
        self, registry: str, upload: str, offset: int, chunks: AsyncIterator[bytes], *, sync: bool = True
    ) -> int:
        found = self._get(registry, upload)
        async with found.lock:
            size = len(found.content)
            if offset != size:
                raise RangeNotSatisfiable(f"the upload {upload} goes on at byte {size}, not at {offset}", size)
            received = bytearray()
            try:
                async for chunk in chunks:
                    received += chunk
            finally:
                found.content += received
                found.written_us = self._clock.now_us()
        return len(found.content)

    async def offset(self, registry: str, upload: str) -> int:
        return len(self._get(registry, upload).content)

    async def commit(self, registry: str, upload: str, expected: Digest) -> int:
        found = self._registries[registry].uploads.get(upload)
        if found is None:
            content = self._registries[registry].blobs.get(expected)
            if content is None:
                raise UploadUnknown(upload)
            return len(content)
        async with found.lock:
            expected.check(Digest.of(found.content, expected.algorithm))
            self._registries[registry].blobs[expected] = bytes(found.content)
            self._registries[registry].written[expected] = self._clock.now_us()
            self._registries[registry].uploads.pop(upload, None)
            return len(found.content)

    async def abort(self, registry: str, upload: str) -> None:
        self._registries[registry].uploads.pop(upload, None)

    async def put(self, registry: str, content: bytes, expected: Digest) -> int:
        expected.check(Digest.of(content, expected.algorithm))
        self._registries[registry].blobs[expected] = content
        self._registries[registry].written[expected] = self._clock.now_us()
        return len(content)

    async def list(self, registry: str) -> AsyncIterator[StoredUpload]:
        for name, found in dict(self._registries[registry].uploads).items():
            yield StoredUpload(upload=name, stored_bytes=len(found.content), written_us=found.written_us)

    def _get(self, registry: str, upload: str) -> _Upload:
        found = self._registries[registry].uploads.get(upload)
        if found is None:
            raise UploadUnknown(upload)
        return found


class MemorySources:
    def __init__(self, registries: _Registries) -> None:
        self._registries = registries

    async def put(self, registry: str, name: str, chunks: AsyncIterator[bytes]) -> int:
        content = b"".join([chunk async for chunk in chunks])
        self._registries[registry].sources[name] = content
        self._registries[registry].joined.pop(name, None)
        return len(content)

    async def stage_block(self, registry: str, name: str, block_id: str, chunks: AsyncIterator[bytes]) -> int:
        content = b"".join([chunk async for chunk in chunks])
        self._registries[registry].blocks.setdefault(name, {})[block_id] = content
        return len(content)

    async def commit_blocks(self, registry: str, name: str, block_ids: list[str]) -> int:
        here = self._registries[registry]
        blocks = here.blocks.get(name, {})
        missing = [block for block in block_ids if block not in blocks]
        if missing and here.joined.get(name) == tuple(block_ids):
            return len(here.sources[name])
        if missing:
            raise UploadInvalid(f"the block {missing[0]!r} of {name!r} was not staged; send it, then the list again")
        here.sources[name] = b"".join(blocks[block] for block in block_ids)
        here.joined[name] = tuple(block_ids)
        here.blocks.pop(name, None)
        return len(here.sources[name])

    async def stat(self, registry: str, name: str) -> int | None:
        content = self._registries[registry].sources.get(name)
        return None if content is None else len(content)

    async def read(self, registry: str, name: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        content = self._registries[registry].sources.get(name)
        if content is None:
            raise ResourceUnknown(f"there is no stored object {name!r}")
        for piece in _pieces(content, start, stop):
            yield piece

    async def delete(self, registry: str, name: str) -> None:
        here = self._registries[registry]
        for kept in (here.sources, here.blocks, here.joined):
            kept.pop(name, None)


class MemoryLogs:
    def __init__(self, registries: _Registries) -> None:
        self._registries = registries

    async def append(self, registry: str, name: str, offset: int, data: bytes) -> int:
        logs = self._registries[registry].logs
        size = len(logs.get(name, b""))
        if not 0 <= offset <= size:
            raise RangeNotSatisfiable(f"the log {name} goes on at byte {size}, not at {offset}", size)
        content = logs.setdefault(name, bytearray())
        content += data[size - offset :]
        return len(content)

    async def size(self, registry: str, name: str) -> int | None:
        content = self._registries[registry].logs.get(name)
        return None if content is None else len(content)

    async def read(self, registry: str, name: str, start: int = 0, stop: int | None = None) -> bytes:
        content = self._registries[registry].logs.get(name)
        if content is None:
            raise ResourceUnknown(f"there is no log {name!r}")
        return bytes(content[max(start, 0) : stop])

    async def delete(self, registry: str, name: str) -> None:
        self._registries[registry].logs.pop(name, None)


def _stored(here: _Registry, digest: Digest) -> StoredBlob:
    written_us = here.written.get(digest, 0)
    return StoredBlob(digest=digest, stored_bytes=len(here.blobs[digest]), written_us=written_us)


def _pieces(content: bytes, start: int, stop: int | None) -> list[bytes]:
    if not 0 <= start <= len(content):
        raise RangeNotSatisfiable(
            f"the content has {len(content)} bytes; a range from {start} is outside it", len(content)
        )
    stop = len(content) if stop is None else min(stop, len(content))
    return [content[at : min(at + _PIECE_BYTES, stop)] for at in range(start, stop, _PIECE_BYTES)]
