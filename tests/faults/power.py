"""The worst disk that keeps its promises: what it holds after a power cut, SQLite's files included.

Everything that is synced is recorded as it happens: a file's bytes, a folder's entries. After a cut there is that and
nothing more ("dropped"), or besides any of the changes that nobody synced yet, page by page and entry by entry
("torn"): a disk may write in whatever order it likes.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from faults.sqlite_disk import SQLITE

PAGE = 4096
Entry = tuple[int, bool]
"""An inode, and whether it is a folder."""
Entries = dict[str, Entry]


class Disk:
    """What was synced below `root`. What lies there at the beginning is durable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, Entries] = {}
        self._held: dict[int, int] = {}
        """Inode to a descriptor that keeps its number from becoming another file's."""

    @contextmanager
    def recording(self) -> Iterator[None]:
        fsync = os.fsync

        def synced(fd: int) -> None:
            fsync(fd)
            self._record(fd)

        try:
            self._record_all()
            with pytest.MonkeyPatch.context() as patch, SQLITE.hooked(self._watch_sqlite):
                patch.setattr(os, "fsync", synced)
                yield
        finally:
            while self._held:
                os.close(self._held.popitem()[1])

    def _record_all(self) -> None:
        for parent, _, names in os.walk(self._root):
            self._record_folder(Path(parent))
            for name in names:
                self._record_file(Path(parent, name))

    def _record(self, fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}")
        if path.is_dir():
            self._record_folder(path)
        else:
            self._record_file(path)

    def _record_file(self, path: Path) -> None:
        inode, _ = self._hold(path)
        self._files[inode] = path.read_bytes()

    def _record_folder(self, path: Path) -> None:
        inode, _ = self._hold(path)
        entries: Entries = {}
        for name in os.listdir(path):
            with suppress(FileNotFoundError):  # another thread has removed it just now
                entries[name] = self._hold(path / name)
        self._folders[inode] = entries

    def _hold(self, path: Path) -> Entry:
        fd = os.open(path, os.O_PATH)
        status = os.fstat(fd)
        if self._held.setdefault(status.st_ino, fd) != fd:
            os.close(fd)
        return status.st_ino, stat.S_ISDIR(status.st_mode)

    def _watch_sqlite(self, what: str, path: Path) -> int:
        if path.is_relative_to(self._root):
            if what == "synced":
                self._record_file(path)
            elif what == "folder synced":
                self._record_folder(path.parent)
        return 0

    # --- after a cut ----------------------------------------------------------------------------------------------

    def cut(self, target: Path, chance: random.Random | None = None) -> None:
        """Lay out what is found when the machine starts again. With `chance`: with any part of what was not synced."""
        live = {os.stat(parent).st_ino: Path(parent) for parent, _, _ in os.walk(self._root)}
        entries = (entry for folder in live.values() for entry in os.scandir(folder))
        paths = {entry.inode(): Path(entry) for entry in entries if entry.is_file()}
        self._lay_out(self._root.stat().st_ino, target, live, paths, chance)

    def _lay_out(
        self, folder: int, target: Path, live: dict[int, Path], paths: dict[int, Path], chance: random.Random | None
    ) -> None:
        target.mkdir()
        entries = self._folders.get(folder, {})
        if chance is not None and folder in live:
            entries = _mix_entries(entries, _entries(live[folder]), chance)
        for name, (inode, is_folder) in entries.items():
            if is_folder:
                self._lay_out(inode, target / name, live, paths, chance)
            elif not name.endswith("-shm"):  # only ever in memory
                durable = self._files.get(inode, b"")
                if chance is not None and inode in paths:
                    durable = _mix_pages(durable, paths[inode].read_bytes(), chance)
                (target / name).write_bytes(durable)
                (target / name).chmod(0o600)


def _entries(folder: Path) -> Entries:
    with os.scandir(folder) as found:
        return {entry.name: (entry.inode(), entry.is_dir()) for entry in found}


def _mix_entries(durable: Entries, live: Entries, chance: random.Random) -> Entries:
    """A rename is one change: where a name's old entry has gone, its new one need not be there, but never neither of
    two names that one file has moved between."""
    mixed: Entries = {}
    for name in sorted({*durable, *live}):
        chosen = chance.choice([durable, live])
        if name in chosen:
            mixed[name] = chosen[name]
    kept = {inode for inode, _ in mixed.values()}
    both = {inode for inode, _ in durable.values()} & {inode for inode, _ in live.values()}
    for name, entry in durable.items():
        if entry[0] in both - kept:
            mixed.setdefault(name, entry)
    return mixed


def _mix_pages(durable: bytes, live: bytes, chance: random.Random) -> bytes:
    if durable == live:
        return durable
    size = chance.choice([len(durable), len(live), chance.randint(0, max(len(durable), len(live)))])
    size = max(size, min(len(durable), len(live)))  # nothing that was synced is cut off, unless somebody cut it off
    parts: list[bytes] = []
    for at in range(0, size, PAGE):
        source = chance.choice([durable, live])
        page = source[at : min(at + PAGE, size)]
        parts.append(page.ljust(min(PAGE, size - at), b"\0"))
    return b"".join(parts)
