"""What a reader that stops reading may keep in memory: little, however many of them there are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from darsena.core.errors import Unavailable
from darsena.core.resident import own_bytes

WHOLE_PIECE, LARGE_PIECE, MIDDLE_PIECE, SMALL_PIECE = 1 << 20, 256 << 10, 64 << 10, 16 << 10
"""The HTTP server queues several pieces for each slow reader: 32 readers cost 85 MB with 256 KiB, 130 with 512 KiB, 240
with 1 MiB. Few readers get a segment as it is, which spares a copy and three quarters of the messages."""
_VERY_FEW, _FEW, _MANY = 4, 48, 256
_SWEEP_S = 1.0
_READER_BYTES = 1 << 20
"""What one costs at worst, most of it in the HTTP server's own buffers."""
_ROOM_BYTES = 256 << 20
"""That the process may grow by before all get small pieces. Who has been handed the last piece is a reader no more, and
the HTTP server still keeps several pieces of each that does not take them: of a layer of 8 MiB all of it."""
_LOOK_S = 0.05
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Rest:
    """What a reader has not had yet of a decrypted segment: [at, stop) of it."""

    __slots__ = ("_at", "_plaintext", "_stop", "given", "seen")

    def __init__(self) -> None:
        self._plaintext = b""
        self._at = self._stop = 0
        self.given = 0
        self.seen = -1

    def fill(self, plaintext: bytes, at: int, stop: int) -> None:
        self._plaintext, self._at, self._stop = plaintext, at, stop

    def drop(self) -> None:
        self.fill(b"", 0, 0)

    def take(self, size: int) -> bytes:
        """The next piece of at most `size` bytes; nothing when there is no more."""
        self.given += 1
        at, self._at = self._at, min(self._at + size, self._stop)
        piece = self._plaintext[at : self._at]
        if self._at == self._stop:
            self.drop()
        return piece


class Readers:
    """All that read at once. One that takes nothing for a second loses its rest: it is decrypted again when it goes on.

    Belongs to one event loop.
    """

    def __init__(self, limit: int | None = None, measure: Callable[[], int] = own_bytes) -> None:
        self._most_bytes = most_bytes()
        self._limit = limit or max(64, self._most_bytes // _READER_BYTES)
        self._measure = measure
        self._roomy_bytes = self._measure() + _ROOM_BYTES
        self._has_room = True
        self._looked_s = 0.0
        self._rests: set[Rest] = set()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def piece_bytes(self) -> int:
        if not self._has_room:
            return SMALL_PIECE
        count = len(self._rests)
        if count <= _VERY_FEW:
            return WHOLE_PIECE
        return LARGE_PIECE if count <= _FEW else MIDDLE_PIECE if count <= _MANY else SMALL_PIECE

    def enter(self) -> Rest:
        """Raises Unavailable when there are as many as memory allows."""
        if len(self._rests) >= self._limit or self._look() > self._most_bytes:
            raise Unavailable("too many clients are reading at once; try again", retry_after_s=5)
        rest = Rest()
        self._rests.add(rest)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_S, self._drop_idle)
        return rest

    def leave(self, rest: Rest) -> None:
        self._rests.discard(rest)

    def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _look(self) -> int:
        """What the process has of memory, 0 where that was looked at a moment ago."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s < _LOOK_S:
            return 0
        self._looked_s = now_s
        own = self._measure()
        self._has_room = own <= self._roomy_bytes
        return own

    def _drop_idle(self) -> None:
        self._sweep = None
        for rest in self._rests:
            if rest.seen == rest.given:
                rest.drop()
            rest.seen = rest.given
        if self._rests:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_S, self._drop_idle)


def most_bytes() -> int:
    """Half of the memory: as much as readers may have."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no limit, or none that can be read
        memory = min(memory, int(_MEMORY_LIMIT.read_text()))
    return memory // 2
