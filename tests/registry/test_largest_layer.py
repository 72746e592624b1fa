"""A layer over the limit of every tier is no layer (tiers, section 1)."""

from __future__ import annotations

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import RequestTooLarge
from darsena.registry.uploading import LARGEST_LAYER_BYTES, Uploading
from registry.conftest import APP, ME, REGISTRY, Rooms, chunks


async def test_a_layer_over_the_limit_is_refused_and_not_kept(rooms: Rooms) -> None:
    storage = rooms.storage
    uploading = Uploading(rooms.db, storage.uploads, storage.blobs, rooms.keyring, largest_bytes=10)
    content = b"0123456789"
    assert await uploading.put(REGISTRY, APP, ME, chunks(content), Digest.of(content)) == 10
    uid = await uploading.begin(REGISTRY, APP, ME)
    assert await uploading.append(REGISTRY, APP, uid, ME, chunks(content)) == 10
    larger = content + b"!"
    with pytest.raises(RequestTooLarge):
        await uploading.append(REGISTRY, APP, uid, ME, chunks(b"!"))
    with pytest.raises(RequestTooLarge):
        await uploading.finish(REGISTRY, APP, uid, ME, None, Digest.of(larger))
    with pytest.raises(RequestTooLarge):
        await uploading.put(REGISTRY, APP, ME, chunks(larger), Digest.of(larger))
    assert await storage.blobs.stat(REGISTRY.uid, Digest.of(larger)) is None


def test_the_limit_is_that_of_the_documentation() -> None:
    assert LARGEST_LAYER_BYTES == 200 * 1024**3
