"""Slows down guessing, by (address, name). A right secret is always let in, so nobody can lock an owner out."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Final

from darsena.core.clock import Clock
from darsena.core.errors import Throttled

LIMIT: Final = 20
WINDOW_US: Final = 60 * 1_000_000
_CAPACITY: Final = 10_000


class Throttle:
    """Counts wrong secrets; after `limit` of them within a minute, further ones are answered with Throttled."""

    def __init__(self, clock: Clock, limit: int = LIMIT) -> None:
        self._clock = clock
        self._limit = limit
        self._failures: dict[tuple[str, str], tuple[int, int]] = {}

    def fail(self, address: str, name: str) -> None:
        """Note a wrong secret. Raises Throttled when there were too many."""
        now_us = self._clock.now_us()
        key = _key(address, name)
        count, since_us = self._failures.get(key, (0, now_us))
        if now_us - since_us >= WINDOW_US:
            count, since_us = 0, now_us
        if key not in self._failures and len(self._failures) >= _CAPACITY:
            self._make_room(now_us)
        self._failures[key] = (count + 1, since_us)
        self.check(address, name)

    def check(self, address: str, name: str) -> None:
        """Raises Throttled: for secrets that people choose, where even a try must be refused."""
        count, since_us = self._failures.get(_key(address, name), (0, 0))
        left_us = since_us + WINDOW_US - self._clock.now_us()
        if count > self._limit and left_us > 0:
            wait_s = max(1, -(-left_us // 1_000_000))
            raise Throttled(f"too many wrong passwords for this name; try again in {wait_s} s", wait_s)

    def _make_room(self, now_us: int) -> None:
        """Drop what no longer counts; when that is nothing, the older half."""
        recent = {key: value for key, value in self._failures.items() if now_us - value[1] < WINDOW_US}
        if len(recent) >= _CAPACITY:
            recent = dict(list(recent.items())[_CAPACITY // 2 :])
        self._failures = recent


def _key(address: str, name: str) -> tuple[str, str]:
    """Of an IPv6 address its /64, which one household or machine has for itself."""
    if ":" in address:
        with contextlib.suppress(ValueError):
            parsed = ipaddress.IPv6Address(address.partition("%")[0])
            address = str(parsed.ipv4_mapped or int(parsed) >> 64)
    return address, name.lower()[:256]
