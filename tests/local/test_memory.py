"""What a burst has left free goes back to the system, however long the burst was."""

from __future__ import annotations

import asyncio
import ctypes

import pytest

from darsena.local import memory

BURST_BYTES = 128 << 20
CHUNK_BYTES = 64 << 10


def allocate() -> tuple[list[int], list[int]]:
    """Chunks, and what stays between them: so what is free after `free` is no top of the heap that goes by itself."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    chunks: list[int] = []
    pins: list[int] = []
    for _ in range(BURST_BYTES // CHUNK_BYTES):
        chunks.append(libc.malloc(CHUNK_BYTES))
        ctypes.memset(chunks[-1], 1, CHUNK_BYTES)
        pins.append(libc.malloc(CHUNK_BYTES // 16))
    return chunks, pins


def free(pointers: list[int]) -> None:
    libc = ctypes.CDLL(None)
    for pointer in pointers:
        libc.free(ctypes.c_void_p(pointer))


async def test_memory_is_given_back_after_a_long_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Semaphore(0)

    def look() -> int:
        looked.release()
        return measured()

    measured = memory.own_bytes
    monkeypatch.setattr(memory, "own_bytes", look)
    monkeypatch.setattr(memory, "_LOOK_S", 0.001)
    stop = asyncio.Event()

    async def see_looks(number: int) -> None:
        for _ in range(number):
            await looked.acquire()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(memory.give_back(stop))
        await see_looks(4)
        chunks, pins = allocate()
        await see_looks(40)  # it lasts
        in_burst = measured()
        free(chunks)
        await see_looks(10)
        given_back = in_burst - measured()
        stop.set()
    free(pins)
    assert given_back > BURST_BYTES // 2
