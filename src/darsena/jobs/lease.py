"""Leases: whose time they are measured by, and when lapsed ones may be taken from their owners."""

from __future__ import annotations

import time
from collections.abc import Callable

from darsena.core.clock import Clock, SystemClock
from darsena.db import Tx, dialects

LEASE_S = 60
"""How long an owner that is not heard of keeps its work."""

_JUMP_US = 5_000_000


def lease_now_us(tx: Tx) -> int:
    """The database server's time where it has one, so that hosts whose clocks differ agree. An injected clock wins."""
    if isinstance(tx.clock, SystemClock):
        server_us = dialects.server_time_us(tx.connection)
        if server_us is not None:
            return server_us
    return tx.now_us


class LeaseWatch:
    """Says when lapsed leases count: not before one whole lease has passed since the start or since the wall clock
    jumped, because until then an owner had no chance to renew."""

    def __init__(
        self, clock: Clock, *, lease_s: int = LEASE_S, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._since = self._last = monotonic()
        self._last_us = clock.now_us()

    def is_settled(self) -> bool:
        """Ask regularly: a jump is seen as wall time that passed and monotonic time that did not."""
        now, now_us = self._monotonic(), self._clock.now_us()
        if abs((now_us - self._last_us) - (now - self._last) * 1_000_000) > _JUMP_US:
            self._since = now
        self._last, self._last_us = now, now_us
        return now - self._since >= self._lease_s
