"""Finished objects, opened for reading. Nothing is returned that has not been authenticated."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from darsena.core.errors import ContentCorrupt, RangeNotSatisfiable
from darsena.storage import disk
from darsena.storage.cipher import DataKey
from darsena.storage.frames import (
    BLOB,
    END_BYTES,
    HEADER_BYTES,
    SEGMENT_BYTES,
    STRIDE,
    End,
    FrameCipher,
    Shape,
)
from darsena.storage.workers import Workers

_READ_AHEAD_BYTES = 8 * STRIDE
_SMALL_BYTES = HEADER_BYTES + STRIDE + END_BYTES


class StoredObject:
    """A finished object: its end mark has been checked, so it is whole and is what its name says."""

    __slots__ = ("_cipher", "_fd", "_shape", "end")

    def __init__(self, fd: int, cipher: FrameCipher, shape: Shape, end: End) -> None:
        self._fd = fd
        self._cipher = cipher
        self._shape = shape
        self.end = end

    @classmethod
    def open(cls, path: Path, key: DataKey, registry: str, kind: str, object_id: str) -> StoredObject:
        """Raises FileNotFoundError, ContentCorrupt."""
        fd, stored = disk.open_content(path)
        try:
            frames_id = "" if kind == BLOB else object_id
            cipher = FrameCipher(key, disk.read_exactly(fd, HEADER_BYTES, 0), registry, kind, frames_id)
            shape = Shape.of_stored(stored)
            if shape is None:
                raise ContentCorrupt(f"the stored {kind} {object_id} of registry {registry} is cut short")
            mark = disk.read_exactly(fd, END_BYTES, stored - END_BYTES)
            return cls(fd, cipher, shape, _checked(cipher, object_id, mark, shape))
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        os.close(self._fd)

    @property
    def identity(self) -> bytes:
        return self._cipher.identity

    @property
    def size(self) -> int:
        return self._shape.size

    @property
    def frames(self) -> int:
        return self._shape.frames

    def read_frame(self, index: int) -> bytes:
        """The plaintext of one frame; waits for the disk, and asks it for the frames that follow."""
        position, size = self._shape.place(index)
        frame = disk.read_exactly(self._fd, size, position)
        plaintext = self._cipher.open(index, frame)
        if index + 1 < self._shape.frames:
            with suppress(OSError):  # advice only
                os.posix_fadvise(self._fd, position + size, _READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        return plaintext

    def read_frame_now(self, index: int, scratch: bytearray) -> bytes | None:
        """`read_frame` if the pages are in memory, else None. `scratch` is overwritten."""
        position, size = self._shape.place(index)
        view = memoryview(scratch)[:size]
        try:
            if os.preadv(self._fd, [view], position, os.RWF_NOWAIT) != size:
                return None
        except OSError as error:
            if error.errno in _WOULD_WAIT:
                return None
            raise disk.problem_of(error) from error
        return self._cipher.open(index, view)


_WOULD_WAIT = {errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL}
"""The last two: a file system or kernel without RWF_NOWAIT."""


async def pieces(
    open_object: Callable[[], StoredObject], workers: Workers, scratch: bytearray, start: int, stop: int | None
) -> AsyncIterator[bytes]:
    """The plaintext [start, stop) in pieces. Raises RangeNotSatisfiable and what `open_object` raises."""
    opened: list[StoredObject] = []  # reached also when we are cancelled while it is opened
    readers, shared, rest = workers.readers, workers.shared_frames, workers.readers.enter()
    try:
        await workers.disk(lambda: opened.append(open_object()))
        stored = opened[0]
        size = stored.size
        stop = size if stop is None else min(stop, size)
        if start < 0 or start > size:
            raise RangeNotSatisfiable(f"the content has {size} bytes; a range from {start} is outside it", size)
        at = start
        with shared.reading(stored.identity):
            while at < stop:
                index = at // SEGMENT_BYTES
                plaintext = shared.find(stored.identity, index)
                if plaintext is None:
                    plaintext = stored.read_frame_now(index, scratch)
                    if plaintext is None:
                        plaintext = await workers.disk(stored.read_frame, index)
                    shared.offer(stored.identity, index, plaintext)
                first = index * SEGMENT_BYTES
                rest.fill(plaintext, at - first, min(stop - first, len(plaintext)))
                del plaintext
                while piece := rest.take(readers.piece_bytes):  # dropped meanwhile where the reader waits for long
                    at += len(piece)
                    yield piece
    finally:
        readers.leave(rest)
        for stored in opened:
            stored.close()


def read_small_now(
    path: Path, key: DataKey, registry: str, kind: str, object_id: str, scratch: bytearray
) -> bytes | None:
    """A finished object of at most one segment, if its pages are in memory; None for whatever reason it is not.

    `scratch` has room for SMALL_SCRATCH_BYTES and is overwritten.
    """
    try:
        fd = os.open(path, disk.READ)
        try:
            count = os.preadv(fd, [scratch], 0, os.RWF_NOWAIT)
        finally:
            os.close(fd)
    except OSError:
        return None
    shape = Shape.of_stored(count)
    if shape is None or count > _SMALL_BYTES:
        return None
    view = memoryview(scratch)
    try:
        cipher = FrameCipher(key, view[:HEADER_BYTES], registry, kind, "" if kind == BLOB else object_id)
        _checked(cipher, object_id, view[count - END_BYTES : count], shape)
        return cipher.open(0, view[HEADER_BYTES : count - END_BYTES]) if shape.frames else b""
    except ContentCorrupt:
        return None  # also what a read that stopped at the last page in memory looks like


SMALL_SCRATCH_BYTES = _SMALL_BYTES + 1


def _checked(cipher: FrameCipher, object_id: str, mark: bytes | memoryview, shape: Shape) -> End:
    end = cipher.open_end(object_id, mark, shape.frames)
    if end.size != shape.size:
        raise ContentCorrupt("a stored object has frames of other sizes than its end mark says")
    return end
