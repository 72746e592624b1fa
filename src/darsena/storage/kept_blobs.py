"""Small blobs, decrypted, while they are pulled often and their files stay as they are.

Every node that pulls an image asks for its config and small layers. To decrypt one anew takes several times what the
rest of the request does. A file that was changed, replaced or removed is noticed at each use: then it is read again.
"""

from __future__ import annotations

import os
from pathlib import Path

from darsena.core.digest import Digest
from darsena.core.recent import Recent

KEPT_BYTES = 16 << 20
LARGEST_BYTES = 256 << 10
"""Of larger ones decryption is not what costs most, and few would fill the room."""

_Identity = tuple[int, int, int, int, int]


class KeptBlobs:
    """By registry and digest. Belongs to one event loop."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._blobs: Recent[tuple[str, Digest], tuple[str, _Identity, bytes]] = Recent(kept_bytes)

    def find(self, registry: str, digest: Digest) -> bytes | None:
        kept = self._blobs.find((registry, digest))
        if kept is None:
            return None
        path, identity, content = kept
        if identify(path) != identity:
            self._blobs.drop((registry, digest))
            return None
        return content

    def keep(self, registry: str, digest: Digest, path: Path, identity: _Identity | None, content: bytes) -> None:
        """`identity` is the file's from before it was read; None: there was none."""
        if identity is not None and len(content) <= LARGEST_BYTES:
            self._blobs.keep((registry, digest), (str(path), identity, content), len(content))


def identify(path: str | Path) -> _Identity | None:
    """What tells a file from every other, and from itself after a change; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
