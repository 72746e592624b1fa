"""The entries of a build context, in one order, without anything that the ignore rules or safety leave out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from darsena.client.dockerignore import IgnoreRules, Marks
from darsena.core.errors import RequestInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A directory, regular file or symbolic link. `path` is relative to the root, with `/` between names."""

    path: str
    location: Path
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.status.st_mode)


def walk(root: Path, rules: IgnoreRules, skipped: Callable[[str, str], None]) -> Iterator[Entry]:
    """Depth first, names in byte order; a link is an entry and is never followed. A directory that is left out but
    holds something that is taken back comes before it. `skipped(path, why)` hears of sockets, pipes and devices.
    """
    yield from _Walker(rules, skipped).below(root, "", None)


class _Walker:
    def __init__(self, rules: IgnoreRules, skipped: Callable[[str, str], None]) -> None:
        self._rules = rules
        self._skipped = skipped

    def below(self, directory: Path, prefix: str, parent: Marks | None) -> Iterator[Entry]:
        for name in self._names(directory):
            path = prefix + name
            ignored, marks = self._rules.judge(path, parent)
            location = directory / name
            try:
                entry = Entry(path=path, location=location, status=location.lstat())
            except FileNotFoundError:
                continue  # gone since the directory was read
            if entry.is_directory:
                if not (ignored and self._rules.closes(path)):
                    yield from self._directory(entry, ignored, marks)
            elif not ignored and self._can_be_packed(entry):
                yield entry

    def _directory(self, entry: Entry, ignored: bool, marks: Marks) -> Iterator[Entry]:
        if not ignored:
            yield entry
            yield from self.below(entry.location, entry.path + "/", marks)
            return
        announced = False
        try:
            for below in self.below(entry.location, entry.path + "/", marks):
                if not announced:
                    announced = True
                    yield entry
                yield below
        except PermissionDenied:
            if announced:
                raise

    def _names(self, directory: Path) -> list[str]:
        try:
            return sorted(os.listdir(directory), key=os.fsencode)
        except PermissionError as error:
            raise PermissionDenied(directory) from error
        except FileNotFoundError:
            return []

    def _can_be_packed(self, entry: Entry) -> bool:
        mode = entry.status.st_mode
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            return True
        kind = "socket" if stat.S_ISSOCK(mode) else "pipe" if stat.S_ISFIFO(mode) else "device"
        self._skipped(entry.path, f"a {kind} cannot be sent")
        return False


class PermissionDenied(RequestInvalid):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} cannot be read: permission denied; leave it out by .dockerignore or change its mode")
        self.path = path
