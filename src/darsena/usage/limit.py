"""The storage limit of a registry's tier, asked before each push. What is included in the tier is no limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from darsena.core.errors import QuotaExceeded
from darsena.db import Database
from darsena.identity.model import RegistryFacts
from darsena.resources.tiers import TIERS
from darsena.usage.store import count_size

TTL_US: Final = 1_000_000
_CAPACITY: Final = 10_000
LIMITS: Final = {name: tier.storage_limit_bytes for name, tier in TIERS.items()}


class StorageLimit:
    """Counts what the journal has told so far, at most a second old: a push that is under way is let to its end."""

    def __init__(self, db: Database, limits: Mapping[str, int] | None = None) -> None:
        self._db = db
        self._limits: Mapping[str, int] = limits or dict(LIMITS)
        self._sizes: dict[str, tuple[int, int]] = {}

    async def check(self, facts: RegistryFacts) -> None:
        """Raise QuotaExceeded when the registry holds as much as its tier lets it."""
        size, limit = await self._find_size(facts.uid), self._limits[facts.tier]
        if size >= limit:
            raise QuotaExceeded(
                f"The registry holds {size} bytes; the SKU {facts.tier} has a limit of {limit}. Delete what is not "
                "needed, or choose a higher SKU."
            )

    async def _find_size(self, registry_uid: str) -> int:
        now_us = self._db.clock.now_us()
        known = self._sizes.get(registry_uid)
        if known is not None and 0 <= now_us - known[1] < TTL_US:
            return known[0]
        size = await self._db.read(count_size, registry_uid)
        if len(self._sizes) >= _CAPACITY:
            self._sizes = {}
        self._sizes[registry_uid] = (size, now_us)
        return size
