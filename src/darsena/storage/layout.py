"""Where everything lies. The data folder, whole:

    DIR/
      darsena.json                    format version, addresses; a newer or unknown version is refused
      lock                            held by the process that serves the folder
      owner.json                      how the owner signs in (0600)
      keys/
        root.key                      the root key, when the key provider is the local file (0600)
        agent.token                   what the build agent signs in with (0600)
      tls/
        ca.pem, server.pem, …         our CA, the server's certificate, and their keys (0600)
        prepared.json                 what was found in order; without it the next start looks again (0600)
      db/
        darsena.db, -wal, -shm        SQLite, unless the database is PostgreSQL
      registries/
        mark                          says that this is the folder, and no empty one in an unmounted disk's place
        .trash-<random>/              registries being dropped
        <uid>/                        32 hexadecimal digits, never used again
          blobs/
            sha256/<2>/<64 hex>       a finished blob; <2> are the digest's first two digits
            sha512/<2>/<128 hex>
          quarantine/
            <alg>-<hex>                 a blob that does not match its digest: kept for a look, never read again
          uploads/
            <upload>                  an open upload: the same format, without its end mark
          sources/
            <name>/
              object                  a build source
              <block>.block           a staged block of it
          logs/
            <name>                    a run's log

Every file below `registries/` but the mark is encrypted (darsena.storage.frames draws its bytes). A name that starts
with `.tmp-` is a write that has not ended, or that a crash cut off: it is never read, and `sweep` removes it when it is
old.
`<name>` and `<block>` are the caller's words when these are plain, else `=` and a hash of them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from darsena.core.digest import Digest

_UID = re.compile(r"[0-9a-f]{32}\Z")
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_TEMPORARY = ".tmp-"
_TRASH = ".trash-"

ALGORITHMS = ("sha256", "sha512")
GROUND_MARK = "mark"
OBJECT = "object"
BLOCK_SUFFIX = ".block"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths under the data folder `root`. A registry's uid that is not one is a ValueError: it would be a path."""

    root: Path

    @property
    def registries(self) -> Path:
        return self.root / "registries"

    def registry(self, uid: str) -> Path:
        if not _UID.match(uid):
            raise ValueError(f"{uid!r} is no registry uid")
        return self.root.joinpath("registries", uid)

    def blobs(self, registry: str) -> Path:
        return self.registry(registry) / "blobs"

    def blob(self, registry: str, digest: Digest) -> Path:
        return self.registry(registry).joinpath("blobs", digest.algorithm, digest.hex[:2], digest.hex)

    def quarantine(self, registry: str, digest: Digest) -> Path:
        return self.registry(registry) / "quarantine" / f"{digest.algorithm}-{digest.hex}"

    def uploads(self, registry: str) -> Path:
        return self.registry(registry) / "uploads"

    def upload(self, registry: str, upload: str) -> Path:
        return self.uploads(registry) / file_name(upload)

    def sources(self, registry: str) -> Path:
        return self.registry(registry) / "sources"

    def source(self, registry: str, name: str) -> Path:
        """The folder of one source: `object` and its staged blocks."""
        return self.sources(registry) / file_name(name)

    def logs(self, registry: str) -> Path:
        return self.registry(registry) / "logs"

    def log(self, registry: str, name: str) -> Path:
        return self.logs(registry) / file_name(name)


def file_name(text: str) -> str:
    """One path component for any text: itself when plain, else `=` and its hash. Different texts, different names."""
    if _PLAIN.match(text):
        return text
    return "=" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def temporary_beside(path: Path) -> Path:
    """A new name in the same folder that no reader takes for content."""
    return path.with_name(_TEMPORARY + secrets.token_hex(12))


def is_temporary(name: str) -> bool:
    return name.startswith(_TEMPORARY)


def trash_name() -> str:
    return _TRASH + secrets.token_hex(12)


def is_trash(name: str) -> bool:
    return name.startswith(_TRASH)


def is_registry(name: str) -> bool:
    return _UID.match(name) is not None
