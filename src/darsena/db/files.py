"""SQLite's files, as this process has them open, against what lies in their place.

A file that was removed, or replaced by another, goes on to take what is written, and nobody will ever find it there. So
nothing is called durable before the files are seen in their place.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from darsena.core.errors import Unavailable

_OPEN: Final = Path("/proc/self/fd")
_Identity = tuple[int, int]


class DatabaseFiles:
    """Of one database; `path` None: it has none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._log = None if path is None else path.with_name(f"{path.name}-wal")
        self._known: _Identity | None = None
        self._known_log: _Identity | None = None

    def check(self) -> None:
        """Before a transaction. Raises Unavailable where the database was removed or replaced."""
        if self._known is not None and self._path is not None and _find(self._path) != self._known:
            raise Unavailable(
                f"the database {self._path} is not where it was when the server opened it; nothing was changed"
            )

    def is_in_place(self) -> bool:
        """After a commit: False where the log that took it (`-wal`) has no name any more. Raises Unavailable where
        the database was removed or replaced."""
        if self._path is None or self._log is None:
            return True
        if self._known is None:
            self._known = _find(self._path)
        elif _find(self._path) != self._known:
            raise Unavailable(f"the database {self._path} was moved while it was written; ask what became of it")
        log = _find(self._log)
        if log is not None and log == self._known_log:
            return True
        if self._is_cut_off(self._log):
            return False
        self._known_log = log  # made anew, after its last connection was closed
        return True

    def _is_cut_off(self, log: Path) -> bool:
        """Whether a log is open that is not the one in its place."""
        removed, known = f"{os.path.realpath(log)} (deleted)", self._known_log
        with suppress(FileNotFoundError):  # a system that does not tell
            for entry in _OPEN.iterdir():
                with suppress(OSError):
                    if os.readlink(entry) == removed or (known is not None and _find(entry) == known):
                        return True
        return False


def _find(path: Path) -> _Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
