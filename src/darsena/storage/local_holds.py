"""Who puts a blob's bytes into their place and who removes them never work at the same time, in whatever process.

The lock is `flock` on the folder that the place is in: shared for those who put, alone for the remover, which never
waits for it and passes busy folders over. The kernel gives it up when a process dies, so a crash leaves no lock behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from darsena.core.digest import Digest
from darsena.core.failpoints import failpoint
from darsena.storage import disk
from darsena.storage.ground import Ground
from darsena.storage.layout import temporary_beside
from darsena.storage.port import ChooseBlobs, StoredBlob
from darsena.storage.workers import Workers, settle

T = TypeVar("T")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PARTS = 8
_TOGETHER = 16


@asynccontextmanager
async def hold(workers: Workers, ground: Ground, folder: Path) -> AsyncGenerator[None]:
    """No `remove_free` takes anything out of the folder meanwhile. Makes the folder when it is absent."""
    opened: list[int] = []  # reached also when we are cancelled while it is locked
    try:
        if not _lock_now(folder, opened):
            await workers.disk(_lock_waiting, ground, folder, opened)
        yield
    finally:
        _close(opened)


def _lock_now(folder: Path, opened: list[int]) -> bool:
    """The usual case, in the event loop: the folder is there and nobody removes anything in it."""
    try:
        opened.append(os.open(folder, _FOLDER))
        fcntl.flock(opened[0], fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lock_waiting(ground: Ground, folder: Path, opened: list[int]) -> None:
    """A remover is done in milliseconds."""
    if not opened:
        ground.ensure(folder)
        opened.append(os.open(folder, _FOLDER))
    fcntl.flock(opened[0], fcntl.LOCK_SH)


async def remove_free(
    workers: Workers, places: Mapping[Digest, Path], before_us: int, choose: ChooseBlobs, kept: Path | None = None
) -> list[StoredBlob]:
    """See BlobStore.remove. Files are renamed under the lock and unlinked after it, since unlinking takes time.

    `kept`: the one file is not unlinked but kept there.
    """
    locked: dict[Path, int] = {}
    set_aside: list[tuple[Path, StoredBlob]] = []
    try:
        try:
            await workers.disk(_lock_alone, {path.parent for path in places.values()}, locked)
            ours = [digest for digest, path in places.items() if path.parent in locked]
            chosen = await choose(ours) if ours else set[Digest]()
            going = [(digest, places[digest]) for digest in ours if digest in chosen]
            await _spread(workers, lambda part: _set_aside(part, before_us, set_aside, kept), going)
        finally:
            _close(locked.values())
    finally:
        if kept is None:
            await _spread(workers, _unlink, [path for path, _ in set_aside])
    return [found for _, found in set_aside]


async def _spread(workers: Workers, fn: Callable[[Sequence[T]], None], items: Sequence[T]) -> None:
    """Do it in several threads where there are many: each file waits for the disk's journal by itself."""
    size = max(_TOGETHER, -(-len(items) // _PARTS))
    await settle([workers.start_disk(fn, items[at : at + size]) for at in range(0, len(items), size)])


def _lock_alone(folders: set[Path], locked: dict[Path, int]) -> None:
    """Those that are there and that nobody holds."""
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError):
            fd = os.open(folder, _FOLDER)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
            else:
                locked[folder] = fd


def _set_aside(
    places: Sequence[tuple[Digest, Path]],
    before_us: int,
    set_aside: list[tuple[Path, StoredBlob]],
    kept: Path | None,
) -> None:
    if kept is not None:
        disk.ensure_folder(kept.parent)
    for digest, path in places:
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            written_us = status.st_mtime_ns // 1000
            if written_us >= before_us:
                continue
            failpoint("remove.before_rename")
            aside = kept or temporary_beside(path)
            if kept is not None:
                disk.remove_any(kept)
            os.rename(path, aside)
            found = StoredBlob(digest=digest, stored_bytes=status.st_size, written_us=written_us)
            set_aside.append((aside, found))
            failpoint("remove.after_rename")


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        disk.remove_any(path)
        failpoint("remove.after_unlink")


def _close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)
