"""Run logs in local files: one frame per append, found by a walk that is remembered and goes on where it stopped.

Every frame is synced before the next is written, so a crash can tear only the last one. A frame that does not open and
has good frames behind it is damage: reading it raises, and it is not cut off.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from darsena.core.errors import ContentCorrupt, RangeNotSatisfiable, ResourceUnknown
from darsena.core.failpoints import failpoint
from darsena.storage import disk
from darsena.storage.frames import FRAME_OVERHEAD, HEADER_BYTES, LOG, SEGMENT_BYTES, STRIDE, FrameCipher, new_header
from darsena.storage.ground import Ground
from darsena.storage.growing import Frame, GrowingFile, Mark, open_locked, walk
from darsena.storage.keyring import Keyring
from darsena.storage.layout import Layout
from darsena.storage.workers import Workers

_REMEMBERED = 256


@dataclass(slots=True)
class _Log:
    """What is in memory of one log; touched under the lock only."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    header: bytes = b""
    cipher: FrameCipher | None = None
    mark: Mark = field(default_factory=Mark)
    positions: array[int] = field(default_factory=lambda: array("Q"))
    starts: array[int] = field(default_factory=lambda: array("Q"))
    is_broken: bool = False
    """A sync failed: the next append goes on in a copy."""

    def start(self, header: bytes, cipher: FrameCipher) -> None:
        self.header, self.cipher, self.mark = header, cipher, Mark()
        self.positions, self.starts = array("Q"), array("Q")

    def extend(self, fd: int, stored: int) -> None:
        """Walk on from the mark. What a crash can have torn, the last frame, is left out; all else counts.

        Raises ContentCorrupt for more bytes that are no frames than a crash can leave.
        """
        assert self.cipher is not None
        closed: list[Frame] = []
        end = self.mark.position
        for frame in walk(fd, self.cipher, self.mark):
            closed.append(frame)
            end = frame.position + frame.stored
            if frame.plaintext is not None:
                self._add_all(closed)
        if stored - end > STRIDE:
            raise ContentCorrupt("a stored log has bytes at its end that are no part of it")
        self._add_all(closed[:-1])

    def _add_all(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.add(frame)
        frames.clear()

    def add(self, frame: Frame) -> None:
        plain = frame.stored - FRAME_OVERHEAD
        self.positions.append(frame.position)
        self.starts.append(self.mark.size)
        self.mark = self.mark.after(frame.position + frame.stored, plain)


class LocalLogs:
    def __init__(self, layout: Layout, ground: Ground, keyring: Keyring, workers: Workers) -> None:
        self._layout = layout
        self._ground = ground
        self._keyring = keyring
        self._workers = workers
        self._logs: OrderedDict[tuple[str, str], _Log] = OrderedDict()

    async def append(self, registry: str, name: str, offset: int, data: bytes) -> int:
        log = self._log(registry, name)
        async with log.lock:
            return await self._workers.disk(self._append, log, registry, name, offset, data)

    async def size(self, registry: str, name: str) -> int | None:
        log = self._log(registry, name)
        async with log.lock:
            return await self._workers.disk(self._size, log, registry, name)

    async def read(self, registry: str, name: str, start: int = 0, stop: int | None = None) -> bytes:
        log = self._log(registry, name)
        async with log.lock:
            return await self._workers.disk(self._read, log, registry, name, start, stop)

    async def delete(self, registry: str, name: str) -> None:
        log = self._log(registry, name)
        async with log.lock:
            await self._workers.disk(disk.remove_file, self._layout.log(registry, name))
        self._logs.pop((registry, name), None)

    def _log(self, registry: str, name: str) -> _Log:
        key = (registry, name)
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = _Log()
            for old in list(self._logs)[: max(0, len(self._logs) - _REMEMBERED)]:
                if not self._logs[old].lock.locked():
                    del self._logs[old]
        self._logs.move_to_end(key)
        return log

    # --- in threads ---------------------------------------------------------------------------------------------

    def _append(self, log: _Log, registry: str, name: str, offset: int, data: bytes) -> int:
        path = self._layout.log(registry, name)
        fd = self._open_or_create(registry, name, offset)
        try:
            os.close(self._refresh(log, registry, path))
            size = log.mark.size
            if not 0 <= offset <= size:
                raise RangeNotSatisfiable(f"the log {name} goes on at byte {size}, not at {offset}", size)
            new = memoryview(data)[size - offset :]
            if new:
                os.ftruncate(fd, log.mark.position)  # what a crash tore
        except BaseException:
            os.close(fd)
            raise
        assert log.cipher is not None
        file = GrowingFile(path, log.cipher, log.mark, fd=fd, is_named=True)
        file.is_broken = log.is_broken and bool(new)
        try:
            file.repair()
            for at in range(0, len(new), SEGMENT_BYTES):
                _write(log, file, new[at : at + SEGMENT_BYTES])
        finally:
            file.close()
        return log.mark.size

    def _open_or_create(self, registry: str, name: str, offset: int) -> int:
        self._keyring.key(registry)
        path = self._layout.log(registry, name)
        try:
            return open_locked(path)
        except FileNotFoundError:
            if offset != 0:
                raise RangeNotSatisfiable(f"the log {name} starts at byte 0, not at {offset}", 0) from None
        self._ground.ensure(path.parent)
        disk.replace_file(path, new_header())
        return open_locked(path)

    def _size(self, log: _Log, registry: str, name: str) -> int | None:
        try:
            os.close(self._refresh(log, registry, self._layout.log(registry, name)))
        except FileNotFoundError:
            return None
        return log.mark.size

    def _read(self, log: _Log, registry: str, name: str, start: int, stop: int | None) -> bytes:
        try:
            fd = self._refresh(log, registry, self._layout.log(registry, name))
        except FileNotFoundError:
            raise ResourceUnknown(f"there is no log {name!r}") from None
        try:
            return _range(log, fd, max(start, 0), log.mark.size if stop is None else min(stop, log.mark.size))
        finally:
            os.close(fd)

    def _refresh(self, log: _Log, registry: str, path: Path) -> int:
        """Bring the log's index up to the file; returns a descriptor for reading. Raises FileNotFoundError."""
        key = self._keyring.key(registry)
        fd, stored = disk.open_content(path)
        try:
            header = disk.read_exactly(fd, HEADER_BYTES, 0)
            if log.cipher is None or header != log.header or stored < log.mark.position:
                log.start(header, FrameCipher(key, header, registry, LOG, path.name))
            if stored > log.mark.position:
                log.extend(fd, stored)
            return fd
        except BaseException:
            os.close(fd)
            raise


def _write(log: _Log, file: GrowingFile, data: memoryview) -> None:
    try:
        file.write(data)
        failpoint("log.before_sync")
        file.sync()
    except OSError:
        file.rollback()
        raise
    finally:
        log.is_broken = file.is_broken
    failpoint("log.after_sync")
    log.add(Frame(log.mark.position, len(data) + FRAME_OVERHEAD, None))


def _range(log: _Log, fd: int, start: int, stop: int) -> bytes:
    assert log.cipher is not None
    parts: list[bytes] = []
    index = max(bisect_right(log.starts, start) - 1, 0)
    while index < log.mark.frames and log.starts[index] < stop:
        first = log.starts[index]
        position = log.positions[index]
        end = log.positions[index + 1] if index + 1 < log.mark.frames else log.mark.position
        plaintext = log.cipher.open(index, disk.read_exactly(fd, end - position, position))
        parts.append(plaintext[max(start - first, 0) : stop - first])
        index += 1
    return b"".join(parts)
