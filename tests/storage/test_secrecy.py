"""Nothing that a customer sent lies readable under the data folder: not finished, not in progress, not left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.storage import Keyring, LocalStorage

from .conftest import REGISTRY
from .feeding import SEGMENT, Cut, chunks, cut_off

MARK = b"plaintext-marker-0f8fad5b"
MARKED = MARK * (SEGMENT // len(MARK) + 100)


def files_with_the_mark(folder: Path) -> list[Path]:
    pieces = (MARK, MARK[:12], MARK.hex().encode())
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(piece in path.read_bytes() or piece.decode() in path.name for piece in pieces)
    ]


async def test_the_search_finds(tmp_path: Path) -> None:
    (tmp_path / "leak").write_bytes(b"xx" + MARKED)
    assert files_with_the_mark(tmp_path) == [tmp_path / "leak"]


async def test_no_plaintext(local: LocalStorage, keyring: Keyring, tmp_path: Path) -> None:
    looked = 0

    async def watched() -> AsyncIterator[bytes]:
        nonlocal looked
        async for chunk in chunks(MARKED):
            yield chunk
            assert files_with_the_mark(tmp_path) == []
            looked += 1

    await local.uploads.begin(REGISTRY, "u")
    await local.uploads.append(REGISTRY, "u", 0, watched())
    await local.uploads.append(REGISTRY, "u", len(MARKED), watched())
    assert files_with_the_mark(tmp_path) == []
    await local.uploads.commit(REGISTRY, "u", Digest.of(MARKED * 2))
    await local.uploads.begin(REGISTRY, "cut")
    with pytest.raises(Cut):
        await local.uploads.append(REGISTRY, "cut", 0, cut_off(MARKED))
    await local.sources.put(REGISTRY, MARK.decode(), watched())
    await local.sources.stage_block(REGISTRY, "blocks", MARK.decode() + "/", watched())
    await local.sources.commit_blocks(REGISTRY, "blocks", [MARK.decode() + "/"])
    await local.logs.append(REGISTRY, "run", 0, MARKED)
    assert looked > 10
    (tmp_path / "sealed").write_bytes(keyring.seal("0123456789abcdef" * 2, "manifest", "1", MARKED))
    found = files_with_the_mark(tmp_path)
    source = local.layout.source(REGISTRY, MARK.decode())
    assert [path for path in found if path.parent != source] == []


async def test_equal_content_looks_different(local: LocalStorage) -> None:
    for name in ("a", "b"):
        await local.logs.append(REGISTRY, name, 0, bytes(1000))
        await local.logs.append(REGISTRY, name, 1000, bytes(1000))
    stored = [local.layout.log(REGISTRY, name).read_bytes() for name in ("a", "b")]
    blocks = {data[at : at + 16] for data in stored for at in range(64, len(data) - 16, 16)}
    assert len(blocks) == sum(len(range(64, len(data) - 16, 16)) for data in stored)
