"""Unpack an archive from anyone into a folder: a program of its own, which gives up its rights before it reads a byte.

    unpack.py DESTINATION UID GID COMPRESSED_BYTES ENTRIES_MAX BYTES_MAX RATIO_MAX < archive

Started by root it makes DESTINATION its root directory and becomes UID:GID. Refused: absolute names, `..`, devices,
links that leave the folder, more than the limits allow. Everything belongs to the user that unpacks; set-uid bits go.
Exit code 0, or 1 with the reason on standard error. Only the standard library, so that it starts fast.
"""

from __future__ import annotations

import bz2
import ctypes
import lzma
import os
import posixpath
import resource
import signal
import stat
import sys
import tarfile
import zlib
from typing import IO

_DECOMPRESSORS = (bz2, lzma, zlib)
"""Loaded here and now: after the root directory has changed nothing more can be."""
_PATH_MAX = 4096
_FREE_BYTES = 100 * 1024 * 1024
"""Below this size no ratio counts: text compresses well."""
_MEMORY_BYTES = 512 * 1024 * 1024
"""An extended header is read whole, whatever size it claims; xz at its strongest needs 65 MiB."""
_PR_SET_PDEATHSIG = 1


class ArchiveRefused(Exception):
    pass


class Unpacker:
    def __init__(self, root: str, entries_max: int, bytes_max: int) -> None:
        self._root = root
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._entries = 0
        self._bytes = 0
        self._links: list[str] = []
        self._folders: list[tuple[str, tarfile.TarInfo]] = []

    def unpack(self, archive: tarfile.TarFile) -> None:
        for member in archive:
            self._entries += 1
            if self._entries > self._entries_max:
                raise ArchiveRefused(f"it has more than {self._entries_max} entries")
            self._put(archive, member)
        for path, member in reversed(self._folders):
            os.chmod(path, member.mode & 0o777 | 0o700)
            os.utime(path, (member.mtime, member.mtime))
        # A link may have been made to lead out by what came after it.
        for path in self._links:
            if os.path.islink(path) and not self._is_inside(os.path.realpath(path)):
                raise ArchiveRefused(f"the link {self._show(path)} leads out of the folder")

    def _put(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = self._check_name(member.name)
        if not name:
            return
        path = os.path.join(self._root, name)
        parent = os.path.dirname(path)
        os.makedirs(parent, mode=0o755, exist_ok=True)
        if not self._is_inside(os.path.realpath(parent)):
            raise ArchiveRefused(f"{name} leads out of the folder")
        if member.isdir():
            self._put_folder(path, member)
        elif member.isreg():
            self._put_file(archive, path, member)
        elif member.issym():
            self._put_link(path, member)
        elif member.islnk():
            self._put_hard_link(path, member)
        else:
            raise ArchiveRefused(f"{name} is a device or a pipe")

    def _put_folder(self, path: str, member: tarfile.TarInfo) -> None:
        if os.path.islink(path) or (os.path.exists(path) and not os.path.isdir(path)):
            os.unlink(path)
        os.makedirs(path, mode=0o700, exist_ok=True)
        self._folders.append((path, member))

    def _put_file(self, archive: tarfile.TarFile, path: str, member: tarfile.TarInfo) -> None:
        self._clear(path)
        source = archive.extractfile(member)
        assert source is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as target:
            self._copy(source, target)
            os.fchmod(target.fileno(), member.mode & 0o777 | 0o400)
        os.utime(path, (member.mtime, member.mtime))

    def _copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        while chunk := source.read(256 * 1024):
            self._bytes += len(chunk)
            if self._bytes > self._bytes_max:
                raise ArchiveRefused(f"it unpacks to more than {self._bytes_max} bytes, the limit for its size")
            target.write(chunk)

    def _put_link(self, path: str, member: tarfile.TarInfo) -> None:
        target = os.path.join(os.path.dirname(path), member.linkname)
        if member.linkname.startswith("/") or not self._is_inside(os.path.realpath(target)):
            raise ArchiveRefused(f"the link {member.name} leads out of the folder, to {member.linkname}")
        if self._climbs(os.path.dirname(path), member.linkname):
            raise ArchiveRefused(f"the link {member.name} leads out of the folder, to {member.linkname}")
        self._clear(path)
        os.symlink(member.linkname, path)
        self._links.append(path)

    def _put_hard_link(self, path: str, member: tarfile.TarInfo) -> None:
        source = os.path.join(self._root, self._check_name(member.linkname))
        if not self._is_inside(os.path.realpath(source)) or not stat.S_ISREG(os.lstat(source).st_mode):
            raise ArchiveRefused(f"the hard link {member.name} leads out of the folder, to {member.linkname}")
        self._clear(path)
        os.link(source, path, follow_symlinks=False)

    def _climbs(self, folder: str, target: str) -> bool:
        """In a changed root directory `..` above it stays there: so count it, instead of trying."""
        real = os.path.realpath(folder)
        depth = 0 if real == self._root else os.path.relpath(real, self._root).count("/") + 1
        for part in target.split("/"):
            depth += -1 if part == ".." else 0 if part in ("", ".") else 1
            if depth < 0:
                return True
        return False

    def _check_name(self, name: str) -> str:
        """The name below the folder; empty for the folder itself."""
        if name.startswith("/") or "\0" in name or len(name) > _PATH_MAX:
            raise ArchiveRefused(f"the name {name[:200]!r} is absolute or too long")
        if ".." in name.split("/"):
            raise ArchiveRefused(f"the name {name[:200]!r} leads out of the folder")
        plain = posixpath.normpath(name)
        return "" if plain == "." else plain

    def _clear(self, path: str) -> None:
        if not os.path.lexists(path):
            return
        if os.path.isdir(path) and not os.path.islink(path):
            raise ArchiveRefused(f"{self._show(path)} is a folder and a file")
        os.unlink(path)

    def _is_inside(self, real: str) -> bool:
        return self._root == "/" or real == self._root or real.startswith(self._root + "/")

    def _show(self, path: str) -> str:
        return os.path.relpath(path, self._root)


def main(argv: list[str]) -> int:
    destination, uid, gid, compressed, entries_max, bytes_max, ratio_max = argv[0], *map(int, argv[1:])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    os.umask(0o022)
    root = os.path.realpath(destination)
    if os.geteuid() == 0:
        os.chroot(root)
        os.chdir("/")
        root = "/"
        if uid != 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
    limit = min(bytes_max, max(_FREE_BYTES, compressed * ratio_max))
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*") as archive:
            Unpacker(root, entries_max, limit).unpack(archive)
    except ArchiveRefused as e:
        print(f"failed to untar context: {e}", file=sys.stderr)  # noqa: T201 - a program's answer
        return 1
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError, RecursionError) as e:
        print(f"failed to untar context: not an archive, or a broken one: {e}", file=sys.stderr)  # noqa: T201
        return 1
    except MemoryError:
        print("failed to untar context: an entry's header is too large", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as e:
        print(f"failed to untar context: {e.strerror or e}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
