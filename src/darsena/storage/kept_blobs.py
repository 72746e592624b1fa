"""Small blobs, decrypted, while they are pulled often and their files stay as they are.

Every node that pulls an image asks for its config and small layers. To decrypt one anew takes several times what the
rest of the request does. A file that was changed, replaced or removed is noticed at each use: then it is read again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

from darsena.core.digest import Digest

KEPT_BYTES = 16 << 20
LARGEST_BYTES = 256 << 10
"""Of larger ones decryption is not what costs most, and few would fill the room."""

_Key = tuple[str, Digest]
_Identity = tuple[int, int, int, int, int]


class KeptBlobs:
    """By registry and digest. Belongs to one event loop."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._room = kept_bytes
        self._blobs: OrderedDict[_Key, tuple[str, _Identity, bytes]] = OrderedDict()

    def find(self, registry: str, digest: Digest) -> bytes | None:
        key = (registry, digest)
        kept = self._blobs.get(key)
        if kept is None:
            return None
        path, identity, content = kept
        if identify(path) != identity:
            self._forget(key)
            return None
        self._blobs.move_to_end(key)
        return content

    def keep(self, registry: str, digest: Digest, path: Path, identity: _Identity | None, content: bytes) -> None:
        """`identity` is the file's from before it was read; None: there was none."""
        if identity is None or len(content) > LARGEST_BYTES:
            return
        self._forget((registry, digest))
        self._blobs[registry, digest] = (str(path), identity, content)
        self._room -= len(content)
        while self._room < 0:
            self._forget(next(iter(self._blobs)))

    def _forget(self, key: _Key) -> None:
        kept = self._blobs.pop(key, None)
        if kept is not None:
            self._room += len(kept[2])


def identify(path: str | Path) -> _Identity | None:
    """What tells a file from every other, and from itself after a change; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
