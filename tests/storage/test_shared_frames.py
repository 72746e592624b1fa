"""Who reads the same object at the same time has each frame decrypted once between them, and gets its own bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import pytest

from darsena.core.digest import Digest
from darsena.storage import LocalStorage
from darsena.storage.frames import FrameCipher
from darsena.storage.shared_frames import KEPT_FRAMES, SharedFrames

from .conftest import OTHER, REGISTRY
from .feeding import SEGMENT, collect, content, push

FRAMES = 12
WHOLE = content(FRAMES * SEGMENT)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the frames that were decrypted."""
    numbers: list[int] = []
    unchanged = FrameCipher.open

    def count(self: FrameCipher, index: int, frame: bytes) -> bytes:
        numbers.append(index)
        return unchanged(self, index, frame)

    monkeypatch.setattr(FrameCipher, "open", count)
    return numbers


def read(local: LocalStorage, digest: Digest, registry: str = REGISTRY, start: int = 0) -> AsyncGenerator[bytes]:
    return cast("AsyncGenerator[bytes]", local.blobs.read(registry, digest, start))


async def test_readers_side_by_side(local: LocalStorage, opened: list[int]) -> None:
    digest = await push(local, REGISTRY, WHOLE)
    opened.clear()
    readers = [read(local, digest) for _ in range(6)]  # more than get whole frames
    got = [bytearray() for _ in readers]
    while len(got[-1]) < len(WHOLE):
        for reader, part in zip(readers, got, strict=True):
            part += await anext(reader, b"")
    assert got == [WHOLE] * 6
    assert sorted(opened) == [0, *range(FRAMES)], "the first frame once more: there were no others when it was read"


async def test_a_single_reader_keeps_nothing(local: LocalStorage, opened: list[int]) -> None:
    digest = await push(local, REGISTRY, WHOLE)
    for _ in range(2):
        opened.clear()
        assert await collect(read(local, digest)) == WHOLE
        assert opened == list(range(FRAMES))


async def test_objects_are_not_mixed_up(local: LocalStorage) -> None:
    whole = content(3 * SEGMENT + 17)
    mine, other = await push(local, REGISTRY, WHOLE), await push(local, OTHER, whole)
    same = await push(local, OTHER, WHOLE)
    reads = [(REGISTRY, mine, 0), (OTHER, same, 5), (OTHER, other, 0), (REGISTRY, mine, 2 * SEGMENT), (OTHER, other, 9)]
    answers = await asyncio.gather(*(collect(read(local, digest, owner, at)) for owner, digest, at in reads))
    assert answers == [WHOLE, WHOLE[5:], whole, WHOLE[2 * SEGMENT :], whole[9:]]


async def test_who_leaves_early(local: LocalStorage, opened: list[int]) -> None:
    digest = await push(local, REGISTRY, WHOLE)
    async with aclosing(read(local, digest)) as first, aclosing(read(local, digest)) as second:
        assert await anext(first) == await anext(second) == WHOLE[:SEGMENT]
    opened.clear()
    assert await collect(read(local, digest)) == WHOLE
    assert opened == list(range(FRAMES)), "nothing was kept for it"


def test_only_the_last_ones_are_kept() -> None:
    shared = SharedFrames()
    with shared.reading(b"a"):
        shared.offer(b"a", 0, b"x")
        assert shared.find(b"a", 0) is None
        with shared.reading(b"a"):
            for index in range(KEPT_FRAMES + 1):
                shared.offer(b"a", index, b"x")
                assert shared.find(b"a", 1) is not None or index == 0
            assert shared.find(b"a", 0) is None
            assert shared.find(b"a", KEPT_FRAMES) == b"x"
            assert shared.find(b"b", KEPT_FRAMES) is None
        assert shared.find(b"a", KEPT_FRAMES) is None
