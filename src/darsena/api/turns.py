"""Long answers step aside for short ones: while layers are pulled, manifests are answered at more than half their rate.

All share one event loop and two threads of the HTTP library, and a piece of a layer keeps them for as long as several
short answers take. So between its pieces a long answer waits for a moment, according to how many short ones were given
meanwhile: alone it does not wait at all, beside few hardly, and beside many it still gets some 128 MB/s.
"""

from __future__ import annotations

_SHORT_S = 0.0002
_LEAST_S = 0.001
"""What the event loop's timers can tell from nothing."""
_MOST_S = 0.002
_PIECE_BYTES = 256 * 1024
"""What is paid with the above; a larger piece with more."""


class Answered:
    """How many short answers were given. Belongs to one event loop."""

    __slots__ = ("short",)

    def __init__(self) -> None:
        self.short = 0


ANSWERED = Answered()
"""This process's."""


class Turns:
    """Of one long answer."""

    __slots__ = ("_answered", "_owed_s", "_seen")

    def __init__(self, answered: Answered = ANSWERED) -> None:
        self._answered = answered
        self._seen = answered.short
        self._owed_s = 0.0

    def take(self, piece_bytes: int) -> float:
        """Seconds to wait after a piece of so many bytes; 0: give the loop back, no more."""
        short, most_s = self._answered.short, _MOST_S * max(1.0, piece_bytes / _PIECE_BYTES)
        self._owed_s = min(self._owed_s + (short - self._seen) * _SHORT_S, most_s)
        self._seen = short
        if self._owed_s < _LEAST_S:
            return 0.0
        owed_s, self._owed_s = self._owed_s, 0.0
        return owed_s
