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
from darsena.core.errors import Problem, RangeNotSatisfiable, UploadUnknown
from darsena.core.failpoints import failpoint
from darsena.storage import disk
from darsena.storage.frames import BLOB, HEADER_BYTES, FrameCipher, new_header
from darsena.storage.ground import Ground
from darsena.storage.growing import GrowingFile
from darsena.storage.keyring import Keyring
from darsena.storage.layout import Layout, is_temporary
from darsena.storage.port import BlobReader, StoredUpload
from darsena.storage.segments import Segments
from darsena.storage.workers import Workers
from darsena.storage.writing import ObjectWriter, full_segments

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
        failpoint("upload.after_segment")

    def finish(self, tail: memoryview, *, sync: bool) -> None:
        """Add the tail as a short frame; with `sync`, make all durable. On an error nothing new stays."""
        assert self.file is not None
        try:
            if tail:
                self.file.write(tail)
                self.hasher.update(tail)
            failpoint("upload.before_sync")
            if sync:
                self.sync()
            failpoint("upload.after_sync")
        except OSError:
            self.rollback()
            raise

    def sync(self, *, name: bool = True) -> None:
        assert self.file is not None
        self.file.sync(name=name)
        self.durable_hasher = self.hasher.copy()

    def rollback(self) -> None:
        """What is written and not synced goes, and with it its part of the hash."""
        assert self.file is not None
        self.file.rollback()
        self.hasher = self.durable_hasher.copy()

    def close(self) -> None:
        """Give back the descriptor, and with it the lock against other processes."""
        if self.file is not None:
            self.file.close()


class LocalUploads:
    def __init__(self, layout: Layout, ground: Ground, keyring: Keyring, workers: Workers, blobs: BlobReader) -> None:
        self._layout = layout
        self._ground = ground
        self._keyring = keyring
        self._workers = workers
        self._blobs = blobs
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    async def begin(self, registry: str, upload: str) -> None:
        await self._keyring.load(registry)
        await self._workers.disk(self._create, self._layout.upload(registry, upload))

    async def append(
        self, registry: str, upload: str, offset: int, chunks: AsyncIterator[bytes], *, sync: bool = True
    ) -> int:
        session = self._session(registry, upload)
        async with session.lock:
            try:
                file = await self._workers.disk(self._open, session, registry, upload)
                if offset != file.mark.size:
                    raise RangeNotSatisfiable(
                        f"the upload {upload} goes on at byte {file.mark.size}, not at {offset}", file.mark.size
                    )
                await self._receive(session, chunks, sync=sync)
                return file.mark.size
            finally:
                session.close()

    async def offset(self, registry: str, upload: str) -> int:
        session = self._session(registry, upload)
        if session.lock.locked() and session.file is not None:
            return session.file.durable.size
        async with session.lock:
            try:
                file = await self._workers.disk(self._open, session, registry, upload)
                return file.mark.size
            finally:
                session.close()

    async def commit(self, registry: str, upload: str, expected: Digest) -> int:
        session = self._session(registry, upload)
        async with session.lock:
            try:
                file = await self._workers.disk(self._open, session, registry, upload)
                await self._workers.cpu(self._check, session, expected)
                await self._workers.disk(self._commit, session, registry, expected)
            except UploadUnknown:
                return await self._committed_before(registry, upload, expected)
            finally:
                session.close()
            self._forget(registry, upload)
            return file.mark.size

    async def abort(self, registry: str, upload: str) -> None:
        await self._workers.disk(disk.remove_file, self._layout.upload(registry, upload))
        self._forget(registry, upload)

    async def put(self, registry: str, content: bytes, expected: Digest) -> int:
        await self._keyring.load(registry)
        return await self._workers.disk(self._put, registry, content, expected)

    async def list(self, registry: str) -> AsyncIterator[StoredUpload]:
        for found in await self._workers.disk(_list, self._layout.uploads(registry)):
            yield found

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

    def _create(self, path: Path) -> None:
        self._ground.ensure(path.parent)
        try:
            fd = disk.create_file(path)
        except FileExistsError:
            if os.stat(path).st_size >= HEADER_BYTES:
                return
            os.unlink(path)  # a crash came before its header
            fd = disk.create_file(path)
        try:
            failpoint("begin.before_header")
            disk.keep_reserve(fd)  # or a client that tries again and again leaves an empty upload each time
            disk.write_all(fd, 0, [new_header()])
            failpoint("begin.after_header")
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(fd)

    def _open(self, session: _Session, registry: str, upload: str) -> GrowingFile:
        """The upload's file, open at its end, with the hasher that belongs there. Raises UploadUnknown."""
        self._keyring.key(registry)
        try:
            if session.file is None or not session.file.open():
                session.file = None
                hasher = new_hasher()
                session.file = GrowingFile.load(
                    self._layout.upload(registry, upload),
                    lambda header: self._cipher(registry, upload, header),
                    hasher.update,
                )
                session.hasher, session.durable_hasher = hasher, hasher.copy()
            return session.file
        except FileNotFoundError:
            session.file = None
            self._ground.check()
            raise UploadUnknown(upload) from None

    def _cipher(self, registry: str, upload: str, header: bytes) -> FrameCipher:
        if len(header) < HEADER_BYTES or not any(header):  # a crash came before anything was answered
            raise UploadUnknown(upload)
        return FrameCipher(self._keyring.key(registry), header, registry, BLOB, "")

    async def _receive(self, session: _Session, chunks: AsyncIterator[bytes], *, sync: bool) -> None:
        workers = self._workers

        def start(segment: memoryview) -> list[asyncio.Future[None]]:
            return [
                workers.start_cpu(session.hasher.update, segment),
                workers.start_disk(session.write, segment),
            ]

        segments = Segments(start)
        try:
            await segments.run(chunks)
        except BaseException:
            with suppress(Problem):  # the first failure is the one to tell
                if segments.write_failed:
                    await workers.disk(session.rollback)
                else:
                    await workers.disk(session.finish, segments.tail, sync=True)
            raise
        await workers.disk(session.finish, segments.tail, sync=sync)

    def _check(self, session: _Session, expected: Digest) -> None:
        assert session.file is not None
        hasher = session.hasher
        if expected.algorithm != "sha256":
            hasher = new_hasher(expected.algorithm)
            for plaintext in session.file.read_frames():
                hasher.update(plaintext)
        expected.check(Digest(expected.algorithm, hasher.hexdigest()))

    def _commit(self, session: _Session, registry: str, expected: Digest) -> None:
        assert session.file is not None
        target = self._layout.blob(registry, expected)
        self._ground.ensure(target.parent)
        if session.file.mark.ragged:
            self._rewrite(session.file, registry, expected, target)
            failpoint("commit.before_remove")
            disk.remove_file(session.file.path)
            failpoint("commit.after_remove")
            return
        try:
            session.file.write_end(str(expected))
            failpoint("commit.before_sync")
            session.sync(name=False)
            failpoint("commit.before_rename")
            os.rename(session.file.path, target)
        except OSError:
            session.rollback()
            raise
        session.file.close()
        session.file = None
        failpoint("commit.after_rename")
        disk.sync_folder(target.parent)
        failpoint("commit.after_sync")

    def _rewrite(self, file: GrowingFile, registry: str, expected: Digest, target: Path) -> None:
        """Short frames stand in the middle: a blob's frames are full, so that a range is found by arithmetic."""
        writer = ObjectWriter(target, self._keyring.key(registry), registry, BLOB, str(expected), ground=self._ground)
        try:
            for segment in full_segments(file.read_frames()):
                writer.write(segment)
            writer.publish(b"")
        finally:
            writer.discard()

    def _put(self, registry: str, content: bytes, expected: Digest) -> int:
        expected.check(Digest.of(content, expected.algorithm))
        target = self._layout.blob(registry, expected)
        writer = ObjectWriter(target, self._keyring.key(registry), registry, BLOB, str(expected), ground=self._ground)
        try:
            failpoint("put.before_content")
            return writer.publish(content)
        finally:
            writer.discard()

    async def _committed_before(self, registry: str, upload: str, expected: Digest) -> int:
        size = await self._blobs.stat(registry, expected)
        if size is None:
            self._forget(registry, upload)
            raise UploadUnknown(upload)
        await self._workers.disk(disk.sync_folder, self._layout.blob(registry, expected).parent)
        return size


def _list(folder: Path) -> list[StoredUpload]:
    found: list[StoredUpload] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if is_temporary(entry.name):
                continue
            with suppress(FileNotFoundError):
                status = entry.stat()
                found.append(
                    StoredUpload(upload=entry.name, stored_bytes=status.st_size, written_us=status.st_mtime_ns // 1000)
                )
    return found
