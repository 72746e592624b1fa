"""A build context as one gzip-compressed tar: the same bytes for the same files, never whole in memory."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from darsena.client.walk import Entry, PermissionDenied
from darsena.core.errors import RequestInvalid

SPOOL_BYTES = 8 * 1024 * 1024
"""A context up to this size never touches the disk."""

_LEVEL = 4  # measured on source trees: two thirds of the time of level 6 for 2% more bytes
_CHUNK_BYTES = 256 * 1024


@dataclass(slots=True)
class Packed:
    """The finished archive, at position 0. Close it to be rid of the temporary file."""

    file: IO[bytes]
    size_bytes: int = 0
    content_bytes: int = 0
    """Of all regular files, unpacked."""
    entries: int = 0

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Packed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraFile:
    """A file that is added at the root, after everything else."""

    name: str
    content: bytes


@dataclass(slots=True)
class _Progress:
    report: Callable[[int, int], None]
    content_bytes: int = 0
    entries: int = 0
    since_report: int = field(default=0)

    def add(self, size: int) -> None:
        self.content_bytes += size
        self.since_report += size
        if self.since_report >= 1024 * 1024:
            self.since_report = 0
            self.report(self.entries, self.content_bytes)


def pack(
    entries: Iterable[Entry],
    extra: Iterable[ExtraFile] = (),
    report: Callable[[int, int], None] = lambda entries, content_bytes: None,
) -> Packed:
    """Raise RequestInvalid when a file cannot be read or shrinks meanwhile. `report(entries, bytes)` hears of all."""
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115  (Packed closes it)
    progress = _Progress(report)
    try:
        with (
            gzip.GzipFile(fileobj=spool, mode="wb", compresslevel=_LEVEL, filename="", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK_BYTES) as archive,
        ):
            for entry in entries:
                _add(archive, entry, progress)
            for addition in extra:
                member = tarfile.TarInfo(addition.name)
                member.size, member.mode = len(addition.content), 0o644
                archive.addfile(member, io.BytesIO(addition.content))
                progress.entries += 1
                progress.add(member.size)
    except BaseException:
        spool.close()
        raise
    size = spool.tell()
    spool.seek(0)
    report(progress.entries, progress.content_bytes)
    return Packed(spool, size, progress.content_bytes, progress.entries)


def _add(archive: tarfile.TarFile, entry: Entry, progress: _Progress) -> None:
    member = tarfile.TarInfo(entry.path)
    member.mode = entry.status.st_mode & 0o7777
    member.mtime = int(entry.status.st_mtime)
    # Owners stay 0:0, as docker sends them: who built on which machine must not show in the image.
    progress.entries += 1
    if entry.is_directory:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif entry.is_link:
        member.type = tarfile.SYMTYPE
        member.linkname = str(entry.location.readlink())
        archive.addfile(member)
    else:
        _add_file(archive, member, entry.location, progress)


def _add_file(archive: tarfile.TarFile, member: tarfile.TarInfo, location: Path, progress: _Progress) -> None:
    try:
        # Still the regular file that the walk saw: not a link out of the context, not a pipe to wait at.
        file = os.fdopen(os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except PermissionError as error:
        raise PermissionDenied(location) from error
    except OSError as error:
        raise RequestInvalid(f"{location} cannot be read: {error.strerror}") from error
    with file:
        # The size of the opened file, not of the walk: it may have grown since.
        member.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            archive.addfile(member, _Counted(file, progress))
        except OSError as error:
            if error.errno is not None:
                raise
            raise RequestInvalid(f"{location} became shorter while it was read; build again") from error


class _Counted(io.RawIOBase):
    def __init__(self, file: IO[bytes], progress: _Progress) -> None:
        super().__init__()
        self._file = file
        self._progress = progress

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._progress.add(len(data))
        return data
