"""The file operations that durability rests on, and what their failures mean to a caller.

A file becomes visible by rename, after it is synced; a folder is synced after every change of a name in it. A failed
fsync is never repeated on the same file: the kernel has dropped the pages that it could not write.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from darsena.core.errors import ContentCorrupt, DiskFailure, Problem, StorageFull, Unavailable
from darsena.core.failpoints import failpoint
from darsena.storage.cipher import Buffer
from darsena.storage.layout import temporary_beside

_RESERVE_BYTES = 64 << 20
_RESERVE_SHARE = 16
"""Of a small disk: one part in so many."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Whoever can write to the disk may have put something else in a file's place; a pipe would be waited for."""


def problem_of(error: OSError) -> Problem:
    """StorageFull for a full disk or quota, Unavailable where the server itself is short of something, else
    DiskFailure."""
    if error.errno in _FULL:
        return StorageFull("the disk is full; nothing was changed")
    kind = Unavailable if error.errno in _OURS else DiskFailure
    return kind(f"the data folder cannot be used now ({error.strerror or error}); nothing was changed")


def create_file(path: Path) -> int:
    """A new file, 0600, open for reading and writing. FileExistsError when it is there."""
    return os.open(path, _CREATE, 0o600)


def open_content(path: Path) -> tuple[int, int]:
    """(descriptor for reading, size) of a file. Raises FileNotFoundError, ContentCorrupt for what is no file."""
    try:
        fd = os.open(path, READ)
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ContentCorrupt(f"{path.name} is a link or a socket, and no file") from error
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ContentCorrupt(f"{path.name} is a folder or a device, and no file")
    except BaseException:
        os.close(fd)
        raise
    return fd, found.st_size


def keep_reserve(fd: int) -> None:
    """Raise ENOSPC where only the space is left that the database needs: to delete something, and so to make room."""
    found = os.fstatvfs(fd)
    reserve = min(_RESERVE_BYTES, found.f_blocks * found.f_frsize // _RESERVE_SHARE)
    if found.f_bavail * found.f_frsize < reserve:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_all(fd: int, position: int, parts: list[Buffer]) -> int:
    """Write the parts at `position`, whole or OSError; returns the position after them."""
    total = sum(len(part) for part in parts)
    written = os.pwritev(fd, parts, position)
    while written < total:
        rest = b"".join(parts)[written:]
        step = os.pwrite(fd, rest, position + written)
        if step == 0:
            raise OSError(errno.EIO, "nothing was written")
        written += step
    return position + total


_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)  # Linux only
_SYNC_FILE_RANGE_WRITE = 2
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_sync(fd: int, position: int, size: int) -> None:
    """Let the disk begin with these bytes, so that the fsync to come finds little left; it tells what went wrong."""
    if _sync_file_range is not None:
        _sync_file_range(fd, position, size, _SYNC_FILE_RANGE_WRITE)


def read_exactly(fd: int, size: int, position: int) -> bytes:
    """Up to `size` bytes: fewer only at the file's end."""
    data = os.pread(fd, size, position)
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (more := os.pread(fd, missing, position + size - missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def ensure_folder(path: Path) -> None:
    """Make the folder and those above it, 0700, each durable in its parent, or none that is not."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        ensure_folder(path.parent)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
    try:
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            os.rmdir(path)
        raise


class NewFile:
    """A temporary file beside `path` that takes its place, whole and durable, at `publish`.

    Until then, and after an error, `path` is what it was. What a crash leaves behind is recognised by its name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = temporary_beside(path)
        self.fd = create_file(self.temporary)
        self._published = False

    def publish(self) -> None:
        """After an error call `discard`."""
        failpoint("file.before_sync")
        os.fsync(self.fd)
        failpoint("file.before_rename")
        os.rename(self.temporary, self.path)
        self._published = True
        self._close()
        failpoint("file.after_rename")
        sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary file, if it still is one. Never raises."""
        self._close()
        if not self._published:
            with suppress(OSError):
                os.unlink(self.temporary)

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@contextmanager
def new_file(path: Path) -> Generator[int]:
    """A NewFile that is published when the block ends and discarded when it raises."""
    new = NewFile(path)
    try:
        yield new.fd
        new.publish()
    finally:
        new.discard()


def replace_file(path: Path, content: bytes) -> None:
    """Give `path` this content, whole or not at all."""
    with new_file(path) as fd:
        write_all(fd, 0, [content])


def remove_file(path: Path) -> bool:
    """Unlink, durably. False when it was not there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    failpoint("file.after_unlink")
    sync_folder(path.parent)
    return True


def remove_any(path: Path) -> None:
    """Unlink, not durably; also a folder that somebody put in a file's place. Absent is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it; absent is fine. OSError when something stays."""

    def failed(_function: object, _path: str, info: tuple[object, BaseException, object]) -> None:
        if not isinstance(info[1], FileNotFoundError):
            raise info[1]

    shutil.rmtree(path, onerror=failed)
