"""How many calls a minute something still has: a bucket that refills continuously. It tells, and refuses nobody."""

from __future__ import annotations

from typing import Final

from darsena.core.clock import Clock

_CAPACITY: Final = 10_000


class RateMeter:
    """A bucket of `per_minute` calls for each key."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._buckets: dict[str, tuple[float, int]] = {}

    def count(self, key: str) -> float:
        """Take one call and return the calls a second that are left."""
        now_us = self._clock.now_us()
        level, since_us = self._buckets.get(key, (float(self._per_minute), now_us))
        refilled = level + max(0, now_us - since_us) * self._per_minute / 60_000_000
        left = max(0.0, min(refilled, float(self._per_minute)) - 1)
        if key not in self._buckets and len(self._buckets) >= _CAPACITY:
            self._buckets = {}
        self._buckets[key] = (left, now_us)
        return left / 60
