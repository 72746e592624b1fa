"""Build sources in local files: put whole, or staged by blocks and joined."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

from darsena.core.errors import ResourceUnknown, UploadInvalid
from darsena.storage import disk
from darsena.storage.cipher import associated
from darsena.storage.frames import BLOCK, NO_NOTE, SOURCE
from darsena.storage.ground import Ground
from darsena.storage.keyring import Keyring
from darsena.storage.layout import BLOCK_SUFFIX, OBJECT, Layout, file_name
from darsena.storage.reading import SMALL_SCRATCH_BYTES, StoredObject, pieces
from darsena.storage.segments import Segments
from darsena.storage.workers import Workers
from darsena.storage.writing import ObjectWriter, full_segments


class ObjectUnknown(ResourceUnknown):
    """The object is not there; a plain ResourceUnknown says that the registry's key is not."""


class LocalSources:
    def __init__(self, layout: Layout, ground: Ground, keyring: Keyring, workers: Workers) -> None:
        self._layout = layout
        self._ground = ground
        self._keyring = keyring
        self._workers = workers
        self._scratch = bytearray(SMALL_SCRATCH_BYTES)

    async def put(self, registry: str, name: str, chunks: AsyncIterator[bytes]) -> int:
        return await self._write(registry, self._object(registry, name), SOURCE, name, chunks)

    async def stage_block(self, registry: str, name: str, block_id: str, chunks: AsyncIterator[bytes]) -> int:
        path = self._block(registry, name, block_id)
        return await self._write(registry, path, BLOCK, _block_key(name, block_id), chunks)

    async def commit_blocks(self, registry: str, name: str, block_ids: list[str]) -> int:
        await self._keyring.load(registry)
        return await self._workers.disk(self._join, registry, name, block_ids)

    async def stat(self, registry: str, name: str) -> int | None:
        return await self._workers.disk(self._stat, registry, name)

    def read(self, registry: str, name: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        return pieces(lambda: self._open(registry, name), self._workers, self._scratch, start, stop)

    async def delete(self, registry: str, name: str) -> None:
        await self._workers.disk(_remove, self._layout.source(registry, name))

    # --- inside -------------------------------------------------------------------------------------------------

    def _object(self, registry: str, name: str) -> Path:
        return self._layout.source(registry, name) / OBJECT

    def _block(self, registry: str, name: str, block_id: str) -> Path:
        return self._layout.source(registry, name) / (file_name(block_id) + BLOCK_SUFFIX)

    async def _write(self, registry: str, path: Path, kind: str, object_id: str, chunks: AsyncIterator[bytes]) -> int:
        key = await self._keyring.load(registry)
        workers = self._workers
        writers: list[ObjectWriter] = []  # reached also when we are cancelled while it is made
        try:
            await workers.disk(
                lambda: writers.append(ObjectWriter(path, key, registry, kind, object_id, ground=self._ground))
            )
            segments = Segments(lambda segment: [workers.start_disk(writers[0].write, segment)])
            await segments.run(chunks)
            return await workers.disk(writers[0].publish, segments.tail)
        finally:
            for writer in writers:
                await workers.disk(writer.discard)

    def _stat(self, registry: str, name: str) -> int | None:
        try:
            stored = self._open(registry, name)
        except ObjectUnknown:
            return None
        stored.close()
        return stored.size

    def _open(self, registry: str, name: str) -> StoredObject:
        key = self._keyring.key(registry)
        try:
            return StoredObject.open(self._object(registry, name), key, registry, SOURCE, name)
        except FileNotFoundError:
            raise ObjectUnknown(f"there is no stored object {name!r}") from None

    def _join(self, registry: str, name: str, block_ids: list[str]) -> int:
        note = hashlib.sha256(associated(*block_ids)).digest()
        missing = [block for block in block_ids if not self._block(registry, name, block).exists()]
        if missing:
            if (size := self._joined_before(registry, name, note)) is not None:
                return size
            raise UploadInvalid(f"the block {missing[0]!r} of {name!r} was not staged; send it, then the list again")
        key = self._keyring.key(registry)
        path = self._object(registry, name)
        writer = ObjectWriter(path, key, registry, SOURCE, name, note, ground=self._ground)
        try:
            for segment in full_segments(self._blocks(registry, name, block_ids)):
                writer.write(segment)
            size = writer.publish(b"")
        finally:
            writer.discard()
        for entry in list(path.parent.iterdir()):
            if entry.name.endswith(BLOCK_SUFFIX):
                with suppress(FileNotFoundError):
                    os.unlink(entry)
        return size

    def _joined_before(self, registry: str, name: str, note: bytes) -> int | None:
        """The object's size, when it was made of exactly these blocks: the answer to the last commit was lost."""
        try:
            stored = self._open(registry, name)
        except ObjectUnknown:
            return None
        stored.close()
        return stored.size if stored.end.note == note != NO_NOTE else None

    def _blocks(self, registry: str, name: str, block_ids: list[str]) -> Iterator[bytes]:
        key = self._keyring.key(registry)
        for block_id in block_ids:
            path = self._block(registry, name, block_id)
            try:
                stored = StoredObject.open(path, key, registry, BLOCK, _block_key(name, block_id))
            except FileNotFoundError:
                raise UploadInvalid(f"the block {block_id!r} of {name!r} went away; send it again") from None
            try:
                for index in range(stored.frames):
                    yield stored.read_frame(index)
            finally:
                stored.close()


def _block_key(name: str, block_id: str) -> str:
    return f"{len(name)}:{name}{block_id}"


def _remove(folder: Path) -> None:
    disk.remove_tree(folder)
    with suppress(FileNotFoundError):
        disk.sync_folder(folder.parent)
