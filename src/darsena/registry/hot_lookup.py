"""Point look-ups for pulls: prepared statements on one read-only SQLite connection, used in the event loop.

What is asked for again is kept. `PRAGMA data_version` tells, in a few microseconds, whether any other connection has
committed since: then it is forgotten, so a pull after a finished write sees it. What is not kept is looked up as it is
now, and needs no such question.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TypeVar

import msgspec

from darsena.core.digest import Digest
from darsena.registry.manifests import SEALED_KIND
from darsena.storage.keyring import Keyring

_BY_TAG = """
SELECT m.repository_id, m.digest, m.media_type
FROM repository AS r
JOIN tag AS t ON t.repository_id = r.id
JOIN manifest AS m ON m.repository_id = r.id AND m.digest = t.digest
WHERE r.registry_uid = ? AND r.name = ? AND t.name = ?
  AND r.read_enabled AND t.read_enabled AND m.read_enabled
  AND (m.quarantine_state IS NULL OR m.quarantine_state = 'Passed')
"""
_BY_DIGEST = """
SELECT m.repository_id, m.digest, m.media_type
FROM repository AS r
JOIN manifest AS m ON m.repository_id = r.id
WHERE r.registry_uid = ? AND r.name = ? AND m.digest = ?
  AND r.read_enabled AND m.read_enabled
  AND (m.quarantine_state IS NULL OR m.quarantine_state = 'Passed')
"""
"""What is in quarantine is left to the ordinary path, which knows the registry's policy and who may read it."""
_SEALED = "SELECT sealed FROM manifest WHERE repository_id = ? AND digest = ?"
_BLOB = """
SELECT b.size
FROM repository AS r
JOIN repository_blob AS l ON l.repository_id = r.id
JOIN blob AS b ON b.registry_uid = r.registry_uid AND b.digest = l.digest
WHERE r.registry_uid = ? AND r.name = ? AND l.digest = ? AND r.read_enabled AND b.gc_marked_at IS NULL
"""
"""Not what gc has marked: the long way clears the mark before it answers, since a push may rely on the answer."""
STATEMENTS = {"manifest by tag": _BY_TAG, "manifest by digest": _BY_DIGEST, "sealed": _SEALED, "blob": _BLOB}

_CAPACITY = 50_000
_PLACES = 1 << 16
_K = TypeVar("_K")
_V = TypeVar("_V")


class HotRow(msgspec.Struct, frozen=True, gc=False):
    """One is made for each tag that is asked for: a struct is made in a fifth of a dataclass's time."""

    repository_id: int
    digest: bytes
    media_type: str


class HotLookup:
    """Not for several threads. `None` stands for everything that cannot be pulled, whatever the reason."""

    def __init__(self, database: Path, keyring: Keyring) -> None:
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
        self._connection.execute("PRAGMA mmap_size=268435456")
        self._connection.execute("PRAGMA query_only=ON")
        self._connection.execute("PRAGMA busy_timeout=2000")
        self._keyring = keyring
        self._version = -1
        self._rows: dict[tuple[str, str, str], HotRow | None] = {}
        self._sizes: dict[tuple[str, str, bytes], int | None] = {}
        self._asked = _Asked()

    def find_manifest(self, registry_uid: str, name: str, reference: str) -> HotRow | None:
        """By tag or digest. Raises DigestInvalid."""
        key = (registry_uid, name, reference)
        is_kept = key in self._rows
        if is_kept and self._is_current():
            return self._rows[key]
        if ":" in reference:
            found = self._connection.execute(_BY_DIGEST, (registry_uid, name, Digest.parse(reference).stored))
        else:
            found = self._connection.execute(_BY_TAG, key)
        row = found.fetchone()
        hot = None if row is None else HotRow(*row)
        if is_kept or self._asked.again(key):
            self._keep(self._rows, key, hot)
        return hot

    def open_manifest(self, registry_uid: str, row: HotRow) -> bytes | None:
        """The exact bytes. Raises ContentCorrupt; None when it has gone meanwhile."""
        found = self._connection.execute(_SEALED, (row.repository_id, row.digest)).fetchone()
        if found is None:
            return None
        return self._keyring.unseal(registry_uid, SEALED_KIND, str(Digest.from_stored(row.digest)), found[0])

    def find_blob_size(self, registry_uid: str, name: str, digest: bytes) -> int | None:
        key = (registry_uid, name, digest)
        is_kept = key in self._sizes
        if is_kept and self._is_current():
            return self._sizes[key]
        row = self._connection.execute(_BLOB, key).fetchone()
        size = None if row is None else int(row[0])
        if is_kept or self._asked.again(key):
            self._keep(self._sizes, key, size)
        return size

    def close(self) -> None:
        self._connection.close()

    def _is_current(self) -> bool:
        """Whether nothing was written since the oldest of what is kept was looked up; else all of it is forgotten."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return True
        self._version = version
        self._forget()
        return False

    def _keep(self, kept: dict[_K, _V], key: _K, value: _V) -> None:
        if len(kept) >= _CAPACITY:
            self._forget()
        kept[key] = value

    def _forget(self) -> None:
        self._rows.clear()
        self._sizes.clear()
        self._asked.forget()


class _Asked:
    """What was asked for lately, in a few bytes: now and then it takes one thing for another."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._places, self._room = bytearray(_PLACES), _PLACES // 2

    def again(self, key: tuple[object, ...]) -> bool:
        """Keeping what is asked for once costs more than looking it up."""
        place = hash(key) % _PLACES
        if self._places[place]:
            return True
        if not self._room:
            self.forget()
        self._places[place] = 1
        self._room -= 1
        return False
