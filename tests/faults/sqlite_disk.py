"""SQLite's own file operations, seen and failed from outside: its VFS with four methods that ask us first.

SQLite calls the operating system itself, so what is patched in Python never sees it. This replaces the methods of each
file that it opens from now on, in the very library that Python's sqlite3 uses, and only while a hook is set.
"""

from __future__ import annotations

import ctypes
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FULL, IOERR = 13, 10
OK = 0
_CREATE, _JOURNALS = 0x4, 0x800 | 0x80000
"""SQLITE_OPEN_CREATE; SQLITE_OPEN_MAIN_JOURNAL and SQLITE_OPEN_WAL, whose first sync syncs their folder too."""

_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _POINTER, _INT, _POINTER)
"""The name is a pointer as it came: the real opening keeps it."""
_READ = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _LONG)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _POINTER, _LONG)
_SYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", _INT),
        ("file_bytes", _INT),
        ("longest_path", _INT),
        ("next", _POINTER),
        ("name", ctypes.c_char_p),
        ("app", _POINTER),
        ("open", _POINTER),
    )


class _Methods(ctypes.Structure):
    _fields_ = (
        ("version", _INT),
        ("close", _POINTER),
        ("read", _POINTER),
        ("write", _POINTER),
        ("truncate", _POINTER),
        ("sync", _POINTER),
        *((f"other{number}", _POINTER) for number in range(13)),
    )


Hook = Callable[[str, Path], int]
"""(read, write, truncate or sync; the file) to OK or the error that SQLite shall see. `synced` and
`folder synced` tell only."""


class SqliteDisk:
    """One per process: what is patched stays patched."""

    def __init__(self) -> None:
        self.hook: Hook | None = None
        self._paths: dict[int, Path] = {}
        self._new_journals: set[Path] = set()
        self._kept: list[Any] = []  # callbacks that the library holds
        self._patched: dict[int, _Methods] = {}
        library = ctypes.CDLL(_find_library())
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._vfs = library.sqlite3_vfs_find(None).contents
        self._open = _OPEN(self._vfs.open)
        callback = _OPEN(self._opened)
        self._kept.append(callback)
        self._vfs.open = ctypes.cast(callback, _POINTER).value

    @contextmanager
    def hooked(self, hook: Hook) -> Iterator[None]:
        self.hook = hook
        try:
            yield
        finally:
            self.hook = None

    def _ask(self, what: str, file: int) -> int:
        path = self._paths.get(file)
        return OK if self.hook is None or path is None else self.hook(what, path)

    def _opened(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = self._open(vfs, name, file, flags, out)
        if code == OK and name is not None:
            path = Path(ctypes.string_at(name).decode())
            self._paths[file] = path
            if flags & _CREATE and flags & _JOURNALS and path.stat().st_size == 0:
                self._new_journals.add(path)
            place = ctypes.cast(file, ctypes.POINTER(_POINTER))
            place[0] = ctypes.addressof(self._methods(place[0]))
        return code

    def _methods(self, address: int) -> _Methods:
        if address not in self._patched:
            real = _Methods.from_address(address)
            mine = _Methods.from_buffer_copy(real)
            read, write = _READ(real.read), _READ(real.write)
            truncate, sync = _TRUNCATE(real.truncate), _SYNC(real.sync)

            def do_sync(file: int, flags: int) -> int:
                code = self._ask("sync", file) or sync(file, flags)
                if code == OK:
                    self._tell_synced(file)
                return code

            for name, callback in {
                "read": _READ(lambda file, data, size, at: self._ask("read", file) or read(file, data, size, at)),
                "write": _READ(lambda file, data, size, at: self._ask("write", file) or write(file, data, size, at)),
                "truncate": _TRUNCATE(lambda file, size: self._ask("truncate", file) or truncate(file, size)),
                "sync": _SYNC(do_sync),
            }.items():
                self._kept.append(callback)
                setattr(mine, name, ctypes.cast(callback, _POINTER).value)
            self._patched[address] = mine
        return self._patched[address]

    def _tell_synced(self, file: int) -> None:
        self._ask("synced", file)
        path = self._paths.get(file)
        if path in self._new_journals:
            self._new_journals.discard(path)
            self._ask("folder synced", file)


def _find_library() -> str:
    """Where the running interpreter has it from: a library of its own, or inside of the extension module."""
    assert sqlite3.sqlite_version
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "sqlite3" in line}
    return min(mapped, key=lambda path: "libsqlite3" not in path)


SQLITE = SqliteDisk()
