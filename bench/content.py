"""Files of random bytes that nothing has seen before."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from clients import push_big
from targets import Target

_MIB = 1 << 20


@dataclass(frozen=True)
class BigFile:
    path: Path
    digest: str
    size: int

    @classmethod
    def make(cls, path: Path, mebibytes: int) -> BigFile:
        """On disk, and synced: what is measured next does not wait for these bytes."""
        hasher = hashlib.sha256()
        piece = bytearray(os.urandom(_MIB))
        with path.open("wb") as file:
            for index in range(mebibytes):
                piece[:8] = index.to_bytes(8, "big")
                hasher.update(piece)
                file.write(piece)
        os.sync()
        return cls(path, f"sha256:{hasher.hexdigest()}", mebibytes * _MIB)

    def push(self, target: Target, repository: str) -> float:
        return push_big(target, repository, self.path, self.digest)
