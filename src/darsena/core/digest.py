"""Content digests (OCI image-spec, descriptor, section Digests)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from darsena.core.errors import DigestInvalid, DigestMismatch

Algorithm = Literal["sha256", "sha512"]

_HEX_LENGTH: dict[str, int] = {"sha256": 64, "sha512": 128}
_STORED_BYTE: dict[Algorithm, int] = {"sha256": 1, "sha512": 2}
_FROM_STORED_BYTE: dict[int, Algorithm] = {1: "sha256", 2: "sha512"}
_HEX = re.compile(r"[0-9a-f]+\Z")
_GRAMMAR = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """`algorithm:hex`, of sha256 or sha512. Build with `parse`, `of` or `from_stored`, which check it."""

    algorithm: Algorithm
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raise DigestInvalid for anything that is not a lower-case sha256 or sha512 digest."""
        algorithm, colon, value = text.partition(":")
        if not colon or len(text) > 256 or not _GRAMMAR.match(text):
            raise DigestInvalid(text[:256], "write it as sha256:<64 lower-case hexadecimal digits>")
        if algorithm != "sha256" and algorithm != "sha512":
            raise DigestInvalid(text, "only sha256 and sha512 are supported")
        if len(value) != _HEX_LENGTH[algorithm] or not _HEX.match(value):
            raise DigestInvalid(text, f"{algorithm} needs {_HEX_LENGTH[algorithm]} lower-case hexadecimal digits")
        return cls(algorithm, value)

    @classmethod
    def of(cls, content: bytes | bytearray | memoryview, algorithm: Algorithm = "sha256") -> Self:
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    @classmethod
    def from_stored(cls, stored: bytes) -> Self:
        """The inverse of `stored`."""
        return cls(_FROM_STORED_BYTE[stored[0]], stored[1:].hex())

    @property
    def stored(self) -> bytes:
        """An algorithm byte and the raw digest: how a digest stands in a database column."""
        return bytes([_STORED_BYTE[self.algorithm]]) + bytes.fromhex(self.hex)

    def check(self, received: Digest) -> None:
        """Raise DigestMismatch unless the content's digest `received` is this one."""
        if received != self:
            raise DigestMismatch(str(self), str(received))

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def text_of_stored(stored: bytes) -> str:
    """`str(Digest.from_stored(stored))`, for the many."""
    return f"{_FROM_STORED_BYTE[stored[0]]}:{stored[1:].hex()}"


class Hasher(Protocol):
    """What hashlib's objects offer and we use."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Hasher: ...


def new_hasher(algorithm: Algorithm = "sha256") -> Hasher:
    return hashlib.new(algorithm)
