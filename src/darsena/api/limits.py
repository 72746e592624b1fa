"""Request rates of a login server, as ACR's tiers have them: token buckets per registry, and per identity in it.

A bucket holds a minute's calls and refills continuously, so a burst passes until it is empty. Off unless the setting
`limits.rates` says otherwise. A server counts for itself, as each of the service's replicas does.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Literal

from darsena.core.clock import Clock
from darsena.core.errors import Throttled
from darsena.identity.model import RegistryFacts

Category = Literal["read", "write", "delete", "referrers", "oauth"]

_LOW: Final[Mapping[Category, tuple[int, int]]] = {
    "read": (10_000, 5_000),
    "write": (2_000, 1_000),
    "delete": (1_000, 500),
    "referrers": (500, 250),
    "oauth": (10_000, 0),
}
_PREMIUM: Final[Mapping[Category, tuple[int, int]]] = {
    "read": (20_000, 10_000),
    "write": (4_000, 2_000),
    "delete": (4_000, 2_000),
    "referrers": (2_000, 1_000),
    "oauth": (20_000, 0),
}
PER_MINUTE: Final[Mapping[str, Mapping[Category, tuple[int, int]]]] = {
    "Basic": _LOW,
    "Standard": _LOW,
    "Premium": _PREMIUM,
}
"""By tier and category: (calls a minute of the registry, of one identity; 0: not counted by identity)."""

METHODS: Final[Mapping[str, Category]] = {
    "GET": "read",
    "HEAD": "read",
    "OPTIONS": "read",
    "PUT": "write",
    "PATCH": "write",
    "POST": "write",
    "DELETE": "delete",
}
TEXT: Final = (
    "Too many requests. Please visit https://aka.ms/acr/skus#sku-feature-matrix to view limits of all service tiers."
)
_CAPACITY: Final = 50_000

_Key = tuple[str, Category, int | None]


class RateLimits:
    """All anonymous callers are one identity, and so are both passwords of an admin user."""

    def __init__(self, clock: Clock, per_minute: Mapping[str, Mapping[Category, tuple[int, int]]] = PER_MINUTE) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._buckets: OrderedDict[_Key, tuple[float, int]] = OrderedDict()

    def take(self, facts: RegistryFacts, category: Category, principal_id: int | None = None) -> None:
        """One call of the registry, or of one identity in it. Raises Throttled with the seconds to the next."""
        per_minute = self._per_minute[facts.tier][category][0 if principal_id is None else 1]
        if not per_minute:
            return
        key: _Key = (facts.uid, category, principal_id)
        now_us = self._clock.now_us()
        level, since_us = self._buckets.pop(key, (float(per_minute), now_us))
        level = min(level + max(0, now_us - since_us) * per_minute / 60_000_000, float(per_minute))
        is_empty = level < 1
        self._buckets[key] = (level if is_empty else level - 1, now_us)
        while len(self._buckets) > _CAPACITY:
            self._buckets.popitem(last=False)
        if is_empty:
            raise Throttled(TEXT, max(1, math.ceil((1 - level) * 60 / per_minute)))
