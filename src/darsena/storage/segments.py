"""Cuts a stream into segments: one fills while the one before it is written, so that memory stays at two."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from darsena.storage.frames import SEGMENT_BYTES
from darsena.storage.workers import settle

Start = Callable[[memoryview], Sequence[asyncio.Future[Any]]]
"""Begins to write a full segment; the segment's bytes stay as they are until the futures have ended."""


class Segments:
    """`run` hands over full segments; `tail` is what came after the last of them, also when the stream failed."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._buffer = _new_buffer()
        self._spare: mmap.mmap | None = None
        self._filled = 0
        self._writing: Sequence[asyncio.Future[Any]] = ()
        self.write_failed = False

    @property
    def tail(self) -> memoryview:
        return memoryview(self._buffer)[: self._filled]

    async def run(self, chunks: AsyncIterator[bytes]) -> None:
        """Raises what `chunks` raises, or what a write does; nothing is being written any more then."""
        try:
            async for chunk in chunks:
                await self._take(memoryview(chunk))
        finally:
            await self._settle()

    async def _take(self, chunk: memoryview) -> None:
        while chunk:
            count = min(SEGMENT_BYTES - self._filled, len(chunk))
            self._buffer[self._filled : self._filled + count] = chunk[:count]
            self._filled += count
            chunk = chunk[count:]
            if self._filled == SEGMENT_BYTES:
                await self._hand_over()

    async def _hand_over(self) -> None:
        await self._settle()
        self._writing = self._start(memoryview(self._buffer))
        self._buffer, self._spare = self._spare or _new_buffer(), self._buffer
        self._filled = 0

    async def _settle(self) -> None:
        writing, self._writing = self._writing, ()
        try:
            await settle(writing)
        finally:
            self.write_failed = self.write_failed or any(future.exception() is not None for future in writing)


def _new_buffer() -> mmap.mmap:
    """Memory is taken as it is written to: an upload that stands still after its first bytes costs a page."""
    return mmap.mmap(-1, SEGMENT_BYTES)
