"""Open uploads in local files. One writer per upload; what an answered append wrote survives a crash.

sha256 is computed while the bytes come and is kept in memory by (upload, offset): after a restart it is computed from
the file again. sha512, known to be wanted only when the upload ends, costs a second read.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from darsena.core.digest import Digest, Hasher, new_hasher
from darsena.core.errors import RangeNotSatisfiable, UploadUnknown
from darsena.core.failpoints import failpoint
from darsena.storage import disk
from darsena.storage.finished import FinishedWriter
from darsena.storage.frames import BLOB, HEADER_BYTES, FrameCipher, new_header
from darsena.storage.growing import GrowingFile
from darsena.storage.keyring import Keyring
from darsena.storage.layout import Layout, is_temporary
from darsena.storage.port import BlobReader, StoredUpload
from darsena.storage.segments import Segments
from darsena.storage.workers import Workers

_REMEMBERED = 4096


@dataclass(slots=True)
class _Session:
    """What is in memory of one upload. `file` and the hashers are touched under the lock only."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    file: GrowingFile | None = None
    hasher: Hasher = field(default_factory=new_hasher)
    durable_hasher: Hasher = field(default_factory=new_hasher)

    def write(self, plaintext: memoryview) -> None:
        assert self.file is not None
        self.file.write(plaintext)

    def finish(self, tail: memoryview, *, sync: bool) -> None:
        """Add the tail as a short frame; with `sync`, make all durable. On an error nothing new stays."""
        assert self.file is not None
        try:
            if tail:
                self.file.write(tail)
                self.hasher.update(tail)
            failpoint("upload.before_sync")
            if sync:
                self.file.sync()
                self.durable_hasher = self.hasher.copy()
            failpoint("upload.after_sync")
        except OSError:
            self.rollback()
            raise

    def rollback(self) -> None:
        assert self.file is not None
        self.file.rollback()
        self.hasher = self.durable_hasher.copy()


class LocalUploads:
    def __init__(self, layout: Layout, keyring: Keyring, workers: Workers, blobs: BlobReader) -> None:
        self._layout = layout
        self._keyring = keyring
        self._workers = workers
        self._blobs = blobs
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    async def begin(self, registry: str, upload: str) -> None:
        self._keyring.find_loaded(registry) or await self._keyring.load(registry)
        await self._workers.disk(_create, self._layout.upload(registry, upload))

    async def append(
        self, registry: str, upload: str, offset: int, chunks: AsyncIterator[bytes], *, sync: bool = True
    ) -> int:
        session = self._session(registry, upload)
        async with session.lock:
            file = await self._workers.disk(self._open, session, registry, upload)
            try:
                if offset != file.mark.size:
                    raise RangeNotSatisfiable(
                        f"the upload {upload} goes on at byte {file.mark.size}, not at {offset}", file.mark.size
                    )
                await self._receive(session, chunks, sync=sync)
                return file.mark.size
            finally:
                file.close()

    async def offset(self, registry: str, upload: str) -> int:
        session = self._session(registry, upload)
        if session.lock.locked() and session.file is not None:
            return session.file.durable.size
        async with session.lock:
            file = await self._workers.disk(self._open, session, registry, upload)
            file.close()
            return file.mark.size

    async def commit(self, registry: str, upload: str, expected: Digest) -> int:
        session = self._session(registry, upload)
        async with session.lock:
            try:
                file = await self._workers.disk(self._open, session, registry, upload)
            except UploadUnknown:
                return await self._committed_before(registry, upload, expected)
            try:
                await self._workers.cpu(self._check, session, expected)
                await self._workers.disk(self._commit, session, registry, expected)
            finally:
                file.close()
        self._forget(registry, upload)
        return file.mark.size

    async def abort(self, registry: str, upload: str) -> None:
        await self._workers.disk(disk.remove_file, self._layout.upload(registry, upload))
        self._forget(registry, upload)

    async def list(self, registry: str) -> AsyncIterator[StoredUpload]:
        for found in await self._workers.disk(_list, self._layout.uploads(registry)):
            yield found

    def forget_registry(self, registry: str) -> None:
        for key in [key for key in self._sessions if key[0] == registry]:
            self._sessions.pop(key)

    # --- sessions -----------------------------------------------------------------------------------------------

    def _session(self, registry: str, upload: str) -> _Session:
        key = (registry, upload)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _Session()
            self._shrink()
        self._sessions.move_to_end(key)
        return session

    def _shrink(self) -> None:
        for key in list(self._sessions)[: max(0, len(self._sessions) - _REMEMBERED)]:
            if not self._sessions[key].lock.locked():
                del self._sessions[key]

    def _forget(self, registry: str, upload: str) -> None:
        self._sessions.pop((registry, upload), None)

    # --- in threads ---------------------------------------------------------------------------------------------

    def _open(self, session: _Session, registry: str, upload: str) -> GrowingFile:
        """The upload's file, open at its end, with the hasher that belongs there. Raises UploadUnknown."""
        key = self._keyring.key(registry)
        try:
            if session.file is None or not session.file.open():
                session.file = None
                hasher = new_hasher()
                session.file = GrowingFile.load(
                    self._layout.upload(registry, upload),
                    lambda header: FrameCipher(key, header, registry, BLOB, ""),
                    hasher.update,
                )
                session.hasher, session.durable_hasher = hasher, hasher.copy()
            return session.file
        except FileNotFoundError:
            session.file = None
            raise UploadUnknown(upload) from None

    async def _receive(self, session: _Session, chunks: AsyncIterator[bytes], *, sync: bool) -> None:
        workers = self._workers
        segments = Segments(
            lambda segment: [
                workers.start_cpu(session.hasher.update, segment),
                workers.start_disk(session.write, segment),
            ]
        )
        ...
