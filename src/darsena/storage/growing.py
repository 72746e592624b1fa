"""Objects that grow at their end: open uploads and run logs. Synchronous; one caller at a time, in a thread.

`mark` is what is written, `durable` what is synced. A failed write or fsync falls back to `durable`; the file that
could not be synced is then left for a copy of its durable part, never synced again.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from darsena.core.errors import ContentCorrupt, Unavailable
from darsena.storage import disk
from darsena.storage.cipher import Buffer
from darsena.storage.frames import (
    FRAME_HEAD_BYTES,
    HEADER_BYTES,
    NO_NOTE,
    SEGMENT_BYTES,
    End,
    FrameCipher,
    frame_size,
)

_COPY_BYTES = 1 << 20
_BEGIN_SYNC_BYTES = 8 << 20
"""An upload of 512 MiB is written in two thirds of the time when the disk begins with each so many."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A frame border."""

    position: int = HEADER_BYTES
    frames: int = 0
    size: int = 0
    short: bool = False
    """The last frame is not full."""
    ragged: bool = False
    """A frame before the last is not full: the object cannot be finished without rewriting it."""

    def after(self, position: int, plain: int) -> Mark:
        return Mark(position, self.frames + 1, self.size + plain, plain < SEGMENT_BYTES, self.ragged or self.short)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as `walk` finds it; `plaintext` is None when it does not open."""

    position: int
    stored: int
    plaintext: bytes | None


class GrowingFile:
    def __init__(self, path: Path, cipher: FrameCipher, mark: Mark, *, fd: int, is_named: bool = False) -> None:
        """`fd` comes from `open_locked`; `is_named` when the file's name is known to be durable."""
        self.path = path
        self.cipher = cipher
        self.mark = mark
        self.durable = mark
        self.is_broken = False
        self._fd = fd
        self._named = is_named
        self._begun = mark.position
        """Up to here the disk has begun."""

    # --- open and close -----------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: Path, cipher_of: Callable[[bytes], FrameCipher], seen: Callable[[bytes], None]) -> GrowingFile:
        """Open for writing behind the frames that open, cutting off what follows; `seen` gets each plaintext.

        Raises FileNotFoundError, ContentCorrupt for the header, Unavailable when another process writes the file.
        """
        fd = open_locked(path)
        try:
            cipher = cipher_of(disk.read_exactly(fd, HEADER_BYTES, 0))
            mark = Mark()
            for frame in walk(fd, cipher, mark):
                if frame.plaintext is None:
                    break
                seen(frame.plaintext)
                mark = mark.after(frame.position + frame.stored, len(frame.plaintext))
            os.ftruncate(fd, mark.position)
            os.fsync(fd)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, cipher, mark, fd=fd)

    def open(self) -> bool:
        """Open for writing at `mark`. False when the file is not as we left it: load it.

        Raises FileNotFoundError, Unavailable when another process writes the file.
        """
        self._fd = open_locked(self.path)
        try:
            self.repair()
            if os.fstat(self._fd).st_size == self.mark.position:
                return True
        except BaseException:
            self.close()
            raise
        self.close()
        return False

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- write --------------------------------------------------------------------------------------------------

    def write(self, plaintext: Buffer) -> None:
        """Add one frame, not yet durable. After an error call `rollback`."""
        disk.keep_reserve(self._fd)
        position = disk.write_all(self._fd, self.mark.position, self.cipher.seal(self.mark.frames, plaintext))
        self.mark = self.mark.after(position, len(plaintext))
        if position - self._begun >= _BEGIN_SYNC_BYTES:
            disk.begin_sync(self._fd, self._begun, position - self._begun)
            self._begun = position

    def write_end(self, object_id: str, note: bytes = NO_NOTE) -> None:
        """Put the end mark behind `mark`, not yet durable; `mark` stays before it."""
        end = End(size=self.mark.size, frames=self.mark.frames, note=note)
        disk.write_all(self._fd, self.mark.position, self.cipher.seal_end(object_id, end))

    def sync(self, *, name: bool = True) -> None:
        """Make everything written durable, with the file's name unless it is to change. After an error: `rollback`."""
        try:
            os.fsync(self._fd)
            if name and not self._named:
                disk.sync_folder(self.path.parent)
                self._named = True
        except OSError:
            self.is_broken = True
            raise
        self.durable = self.mark

    def rollback(self) -> None:
        """Back to `durable`, which gives a full disk its space back. Never raises."""
        self.mark = self.durable
        self._begun = self.durable.position
        try:
            os.ftruncate(self._fd, self.durable.position)
        except OSError:
            self.is_broken = True

    def read_frames(self) -> Iterator[bytes]:
        """Every plaintext in order, by a descriptor of its own. Raises ContentCorrupt."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            count = 0
            for frame in walk(fd, self.cipher, Mark()):
                if count == self.mark.frames:
                    break
                if frame.plaintext is None:
                    raise ContentCorrupt(f"frame {count} of an open upload does not match its authentication tag")
                yield frame.plaintext
                count += 1
            if count < self.mark.frames:
                raise ContentCorrupt("an open upload is shorter than it was")
        finally:
            os.close(fd)

    def repair(self) -> None:
        """After a failed sync: go on in a new file with the durable part of this one."""
        if not self.is_broken:
            return
        with disk.new_file(self.path) as fd:
            position = 0
            while position < self.durable.position:
                part = os.pread(self._fd, min(_COPY_BYTES, self.durable.position - position), position)
                if not part:
                    raise OSError(errno.EIO, "a file is shorter than what was made durable in it")
                position = disk.write_all(fd, position, [part])
        self.close()
        self._fd = open_locked(self.path)
        self.mark = self.durable
        self.is_broken = False


def open_locked(path: Path) -> int:
    """For reading and writing, and nobody else's for writing. Raises Unavailable when it is somebody's already."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Unavailable("another process is writing this; try again", retry_after_s=1) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def walk(fd: int, cipher: FrameCipher, start: Mark) -> Iterator[Frame]:
    """The frames from a border on, as far as their heads are sound and their bytes are there."""
    position, index = start.position, start.frames
    while True:
        stored = frame_size(os.pread(fd, FRAME_HEAD_BYTES, position))
        if stored is None:
            return
        data = disk.read_exactly(fd, stored, position)
        if len(data) < stored:
            return
        try:
            plaintext = cipher.open(index, data)
        except ContentCorrupt:
            plaintext = None
        yield Frame(position, stored, plaintext)
        position, index = position + stored, index + 1
