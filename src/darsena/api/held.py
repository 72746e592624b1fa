"""Bodies that are read whole stand in memory. All together have so much room; who has stood still longest gives way.

Anybody may begin as many requests as there are connections and send all but the last byte of each. A client that sends
what it has is done long before it would be its turn to give way.
"""

from __future__ import annotations

from typing import Final, Protocol

from darsena.core.errors import Unavailable

LIMIT_BYTES: Final = 128 * 1024 * 1024


class Reader(Protocol):
    """A request whose body is read whole."""

    held_bytes: int
    """What it has in memory. Only `Held` changes it."""

    def cut_off(self) -> None:
        """Wait no longer for what is still to come."""
        ...


class Held:
    """Belongs to one event loop."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._reading: dict[Reader, None] = {}
        """In the order of their last bytes."""

    def take(self, reader: Reader, size_bytes: int) -> None:
        """So many more bytes have come. Raises Unavailable when there is no room, and nobody stands still."""
        self._reading.pop(reader, None)
        self._reading[reader] = None
        self._bytes += size_bytes
        reader.held_bytes += size_bytes
        while self._bytes > self._limit_bytes:
            slowest = next(iter(self._reading))
            self.release(slowest)
            if slowest is reader:
                raise Unavailable("the server has more request bodies in memory than it may: send it again")
            slowest.cut_off()

    def end_reading(self, reader: Reader) -> None:
        """All has come, or nothing more will: what is there stays until `release`."""
        self._reading.pop(reader, None)

    def release(self, reader: Reader) -> None:
        """The request is over. Idempotent."""
        self._reading.pop(reader, None)
        self._bytes -= reader.held_bytes
        reader.held_bytes = 0


HELD = Held()
"""This process's."""
