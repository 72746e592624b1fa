"""Contract of ObjectStore, held by every implementation."""

from __future__ import annotations

import pytest

from darsena.core.errors import ResourceUnknown, UploadInvalid
from darsena.storage import Storage

from .conftest import OTHER, REGISTRY
from .feeding import SEGMENT, Cut, chunks, collect, content, cut_off

NAME = "source/202401021530/0f8fad5b-d9cb-469f-a165-70867728950e.tar.gz"


@pytest.mark.parametrize("size", [0, 1, SEGMENT, 2 * SEGMENT + 9])
async def test_put_and_read(storage: Storage, size: int) -> None:
    assert await storage.sources.put(REGISTRY, NAME, chunks(content(size))) == size
    assert await storage.sources.stat(REGISTRY, NAME) == size
    assert await collect(storage.sources.read(REGISTRY, NAME)) == content(size)
    assert await collect(storage.sources.read(REGISTRY, NAME, size // 2, size)) == content(size)[size // 2 :]


async def test_absent(storage: Storage) -> None:
    assert await storage.sources.stat(REGISTRY, NAME) is None
    with pytest.raises(ResourceUnknown):
        await collect(storage.sources.read(REGISTRY, NAME))
    await storage.sources.delete(REGISTRY, NAME)


async def test_put_replaces_whole_or_not_at_all(storage: Storage) -> None:
    await storage.sources.put(REGISTRY, NAME, chunks(b"old"))
    with pytest.raises(Cut):
        await storage.sources.put(REGISTRY, NAME, cut_off(content(SEGMENT + 1)))
    assert await collect(storage.sources.read(REGISTRY, NAME)) == b"old"
    await storage.sources.put(REGISTRY, NAME, chunks(b"new"))
    assert await collect(storage.sources.read(REGISTRY, NAME)) == b"new"


async def test_blocks(storage: Storage) -> None:
    parts = {"QUFB": content(SEGMENT + 5), "QkJC": content(7), "Q0ND": content(2 * SEGMENT), "unused": b"x"}
    for block_id, part in parts.items():
        assert await storage.sources.stage_block(REGISTRY, NAME, block_id, chunks(part)) == len(part)
    assert await storage.sources.stat(REGISTRY, NAME) is None
    order = ["Q0ND", "QUFB", "QkJC", "QUFB"]
    whole = b"".join(parts[block_id] for block_id in order)
    assert await storage.sources.commit_blocks(REGISTRY, NAME, order) == len(whole)
    assert await collect(storage.sources.read(REGISTRY, NAME)) == whole
    assert await storage.sources.commit_blocks(REGISTRY, NAME, order) == len(whole)  # the answer was lost
    with pytest.raises(UploadInvalid):
        await storage.sources.commit_blocks(REGISTRY, NAME, ["unused"])  # a commit drops the others


async def test_block_unknown_changes_nothing(storage: Storage) -> None:
    await storage.sources.put(REGISTRY, NAME, chunks(b"old"))
    await storage.sources.stage_block(REGISTRY, NAME, "a", chunks(b"1"))
    with pytest.raises(UploadInvalid, match="'b'"):
        await storage.sources.commit_blocks(REGISTRY, NAME, ["a", "b"])
    assert await collect(storage.sources.read(REGISTRY, NAME)) == b"old"
    await storage.sources.stage_block(REGISTRY, NAME, "b", chunks(b"2"))
    assert await storage.sources.commit_blocks(REGISTRY, NAME, ["a", "b"]) == 2


async def test_block_staged_twice(storage: Storage) -> None:
    for text in (b"first", b"second"):
        await storage.sources.stage_block(REGISTRY, NAME, "a", chunks(text))
    with pytest.raises(Cut):
        await storage.sources.stage_block(REGISTRY, NAME, "a", cut_off(b"third"))
    await storage.sources.commit_blocks(REGISTRY, NAME, ["a"])
    assert await collect(storage.sources.read(REGISTRY, NAME)) == b"second"


async def test_no_blocks(storage: Storage) -> None:
    assert await storage.sources.commit_blocks(REGISTRY, NAME, []) == 0
    assert await storage.sources.stat(REGISTRY, NAME) == 0


async def test_delete_takes_blocks_too(storage: Storage) -> None:
    await storage.sources.put(REGISTRY, NAME, chunks(b"x"))
    await storage.sources.stage_block(REGISTRY, NAME, "a", chunks(b"1"))
    await storage.sources.delete(REGISTRY, NAME)
    assert await storage.sources.stat(REGISTRY, NAME) is None
    with pytest.raises(UploadInvalid):
        await storage.sources.commit_blocks(REGISTRY, NAME, ["a"])


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "..", "", "a" * 2000, "ñ\n", "object", "nul\x00"])
async def test_a_name_is_never_a_path(storage: Storage, name: str) -> None:
    await storage.sources.put(REGISTRY, name, chunks(b"x"))
    await storage.sources.stage_block(REGISTRY, name, name, chunks(b"y"))
    assert await storage.sources.commit_blocks(REGISTRY, name, [name]) == 1
    assert await collect(storage.sources.read(REGISTRY, name)) == b"y"
    assert await storage.sources.stat(OTHER, name) is None
