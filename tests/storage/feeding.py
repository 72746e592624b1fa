"""Bodies as they come from a client, and the shortest ways to put and get them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from darsena.core.digest import Digest
from darsena.storage import Storage

SEGMENT = 1 << 20


def content(size: int, seed: str = "") -> bytes:
    """`size` bytes that look random and are the same every time."""
    return hashlib.shake_128(f"{size}{seed}".encode()).digest(size)


async def chunks(data: bytes, step: int = 190_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


class Cut(Exception):
    """The client went away."""


async def cut_off(data: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunks(data):
        yield chunk
    raise Cut


async def collect(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def push(storage: Storage, registry: str, data: bytes, *, upload: str = "u", algorithm: str = "sha256") -> Digest:
    digest = Digest.parse(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")
    await storage.uploads.begin(registry, upload)
    await storage.uploads.append(registry, upload, 0, chunks(data))
    assert await storage.uploads.commit(registry, upload, digest) == len(data)
    return digest
