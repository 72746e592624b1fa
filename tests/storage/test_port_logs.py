"""Contract of LogStore, held by every implementation."""

from __future__ import annotations

import asyncio

import pytest

from darsena.core.errors import RangeNotSatisfiable, ResourceUnknown
from darsena.storage import Storage

from .conftest import REGISTRY
from .feeding import SEGMENT, content

RUN = "00112233445566778899aabbccddeeff"


async def test_grows_and_is_tailed(storage: Storage) -> None:
    whole = b""
    for number in range(50):
        line = f"2021/04/14 17:14:05 line {number}\r\n".encode()
        assert await storage.logs.append(REGISTRY, RUN, len(whole), line) == len(whole) + len(line)
        assert await storage.logs.read(REGISTRY, RUN, len(whole)) == line
        whole += line
        assert await storage.logs.size(REGISTRY, RUN) == len(whole)
    assert await storage.logs.read(REGISTRY, RUN) == whole
    assert await storage.logs.read(REGISTRY, RUN, 5, 100) == whole[5:100]
    assert await storage.logs.read(REGISTRY, RUN, 5, 5) == b""
    assert await storage.logs.read(REGISTRY, RUN, len(whole) - 3, len(whole) + 100) == whole[-3:]
    assert await storage.logs.read(REGISTRY, RUN, len(whole) + 7) == b""


async def test_every_range_of_a_log(storage: Storage) -> None:
    parts = [b"a", b"bcd", b"efghij"]
    whole = b"".join(parts)
    for number, part in enumerate(parts):
        await storage.logs.append(REGISTRY, RUN, len(b"".join(parts[:number])), part)
    for start in range(len(whole) + 1):
        for stop in range(start, len(whole) + 1):
            assert await storage.logs.read(REGISTRY, RUN, start, stop) == whole[start:stop]


async def test_repeating_changes_nothing(storage: Storage) -> None:
    assert await storage.logs.append(REGISTRY, RUN, 0, b"one two ") == 8
    assert await storage.logs.append(REGISTRY, RUN, 0, b"one two ") == 8
    assert await storage.logs.append(REGISTRY, RUN, 4, b"two three") == 13
    assert await storage.logs.append(REGISTRY, RUN, 4, b"two") == 13
    assert await storage.logs.read(REGISTRY, RUN) == b"one two three"


@pytest.mark.parametrize("size", [0, 3])
async def test_gap(storage: Storage, size: int) -> None:
    await storage.logs.append(REGISTRY, RUN, 0, b"x" * size)
    with pytest.raises(RangeNotSatisfiable) as error:
        await storage.logs.append(REGISTRY, RUN, size + 1, b"y")
    assert error.value.size == size
    assert await storage.logs.size(REGISTRY, RUN) == size


async def test_absent(storage: Storage) -> None:
    assert await storage.logs.size(REGISTRY, RUN) is None
    with pytest.raises(ResourceUnknown):
        await storage.logs.read(REGISTRY, RUN)
    with pytest.raises(RangeNotSatisfiable):
        await storage.logs.append(REGISTRY, RUN, 1, b"y")
    assert await storage.logs.size(REGISTRY, RUN) is None
    await storage.logs.delete(REGISTRY, RUN)


async def test_delete_and_start_again(storage: Storage) -> None:
    await storage.logs.append(REGISTRY, RUN, 0, b"old and long")
    await storage.logs.delete(REGISTRY, RUN)
    assert await storage.logs.size(REGISTRY, RUN) is None
    await storage.logs.append(REGISTRY, RUN, 0, b"new")
    assert await storage.logs.read(REGISTRY, RUN) == b"new"


async def test_large_append(storage: Storage) -> None:
    data = content(2 * SEGMENT + 11)
    assert await storage.logs.append(REGISTRY, RUN, 0, data) == len(data)
    assert await storage.logs.read(REGISTRY, RUN) == data
    assert await storage.logs.read(REGISTRY, RUN, SEGMENT - 5, SEGMENT + 5) == data[SEGMENT - 5 : SEGMENT + 5]


async def test_concurrent_appends_and_reads(storage: Storage) -> None:
    async def write() -> None:
        for number in range(20):
            await storage.logs.append(REGISTRY, RUN, number * 4, b"line")

    async def tail() -> bytes:
        seen = b""
        while len(seen) < 80:
            if await storage.logs.size(REGISTRY, RUN):
                seen += await storage.logs.read(REGISTRY, RUN, len(seen))
            await asyncio.sleep(0)
        return seen

    _, first, second = await asyncio.gather(write(), tail(), tail())
    assert first == second == b"line" * 20


async def test_a_repeated_writer_never_doubles(storage: Storage) -> None:
    await asyncio.gather(*(storage.logs.append(REGISTRY, RUN, 0, b"once\r\n") for _ in range(5)))
    assert await storage.logs.read(REGISTRY, RUN) == b"once\r\n"
