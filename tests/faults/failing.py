"""The k-th call that the data plane makes of the file system, or of SQLite's, fails: once, or with all after it."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faults.sqlite_disk import FULL, IOERR, SQLITE

CALLS = (
    "open", "mkdir", "pwritev", "pwrite", "pread", "preadv", "fsync", "ftruncate", "rename", "unlink", "rmdir", "link",
    "fstat", "stat", "scandir", "listdir",
)  # fmt: skip
SYSTEM_ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}
SQLITE_ERRORS = {
    "full": {"write": FULL, "truncate": IOERR | 6 << 8, "sync": FULL},
    "broken": {"read": IOERR | 1 << 8, "write": IOERR | 3 << 8, "truncate": IOERR | 6 << 8, "sync": IOERR | 4 << 8},
}
"""SQLITE_FULL; SQLITE_IOERR_READ, _WRITE, _TRUNCATE, _FSYNC."""
_STORE = "darsena.storage."
_DEPTH = 4


class Fault:
    """`happened` says whether the call was reached."""

    def __init__(self, at: int, *, lasting: bool) -> None:
        self._at = at
        self._lasting = lasting
        self._count = itertools.count(1)
        self.happened = False

    def is_due(self) -> bool:
        number = next(self._count)
        due = number == self._at or (self._lasting and number > self._at)
        self.happened |= due
        return due


@contextmanager
def failing_files(kind: str, at: int, *, lasting: bool) -> Iterator[Fault]:
    """The calls of darsena.storage, in whatever thread."""
    fault = Fault(at, lasting=lasting)
    code = SYSTEM_ERRORS[kind]

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def maybe(*arguments: Any, **options: Any) -> Any:
            if _is_ours() and fault.is_due():
                raise OSError(code, os.strerror(code))
            return call(*arguments, **options)

        return maybe

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(getattr(os, name)))
        patch.setattr(fcntl, "flock", wrap(fcntl.flock))
        yield fault


def _is_ours() -> bool:
    """Whether the store is what calls, itself or by way of pathlib and shutil."""
    frame = sys._getframe(2)
    for _ in range(_DEPTH):
        if frame is None:
            return False
        if frame.f_globals.get("__name__", "").startswith(_STORE):
            return True
        frame = frame.f_back
    return False


@contextmanager
def failing_sqlite(kind: str, at: int, *, lasting: bool) -> Iterator[Fault]:
    """What SQLite does with its files."""
    fault = Fault(at, lasting=lasting)
    codes = SQLITE_ERRORS[kind]

    def hook(what: str, _path: Path) -> int:
        return codes[what] if what in codes and fault.is_due() else 0

    with SQLITE.hooked(hook):
        yield fault
