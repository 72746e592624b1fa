"""The file operations that durability rests on, and what their failures mean to a caller.

A file becomes visible by rename, after it is synced; a folder is synced after every change of a name in it. A failed
fsync is never repeated on the same file: the kernel has dropped the pages that it could not write.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from darsena.core.errors import Problem, StorageFull, Unavailable
from darsena.storage.cipher import Buffer
from darsena.storage.layout import temporary_beside

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def problem_of(error: OSError) -> Problem:
    """StorageFull for a full disk or quota, Unavailable for all else."""
    if error.errno in _FULL:
        return StorageFull("the disk is full; nothing was changed")
    return Unavailable(f"the data folder cannot be used now ({error.strerror or error}); nothing was changed")


def create_file(path: Path) -> int:
    """A new file, 0600, open for reading and writing. FileExistsError when it is there."""
    return os.open(path, _CREATE, 0o600)


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
    """Make the folder and those above it, 0700, each durable in its parent."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        ensure_folder(path.parent)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
    sync_folder(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """A temporary file beside `path` that takes its place, durably, when the block ends without an error.

    After an error there is no new file and `path` is what it was.
    """
    temporary = temporary_beside(path)
    fd = create_file(temporary)
    try:
        try:
            yield fd
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


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
    sync_folder(path.parent)
    return True


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it; absent is fine. OSError when something stays."""

    def failed(_function: object, _path: str, info: tuple[object, BaseException, object]) -> None:
        if not isinstance(info[1], FileNotFoundError):
            raise info[1]

    shutil.rmtree(path, onerror=failed)
