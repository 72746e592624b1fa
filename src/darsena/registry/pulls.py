"""Pulls, counted in memory and noted in batches: a pull costs a look-up in a dictionary and no transaction.

What is not noted yet is lost with a killed process: counts are statistics. Memory is bounded before they are.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from darsena.core.digest import text_of_stored
from darsena.core.errors import Problem
from darsena.db import Database
from darsena.jobs.wake import pause
from darsena.registry.model import Pulls
from darsena.registry.store import pulls
from darsena.registry.store.pulls import WHOLE, Counted

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.registry")

NOTED_EVERY_S: Final = 2.0
CAPACITY: Final = 50_000
"""Of different (repository, manifest, reference) between two batches; more are not counted, and the log says so."""
_AT_ONCE: Final = 200
"""Of one transaction, three rows each: some ten milliseconds."""

_Key = tuple[int, bytes, str]
"""(repository id, stored digest, the tag or digest that was asked for)."""


class PullCounter:
    """`count` and `flush` belong to one event loop."""

    def __init__(self, db: Database, *, capacity: int = CAPACITY) -> None:
        self._db = db
        self._clock = db.clock
        self._capacity = capacity
        self._counts: dict[_Key, list[int]] = {}
        self._dropped = 0

    def count(self, repository_id: int, digest: bytes, reference: str) -> None:
        """One GET of a manifest that was answered."""
        key = (repository_id, digest, reference)
        found = self._counts.get(key)
        if found is not None:
            found[0] += 1
            found[1] = self._clock.now_us()
        elif len(self._counts) < self._capacity:
            self._counts[key] = [1, self._clock.now_us()]
        else:
            self._dropped += 1

    async def run(self, stop: asyncio.Event) -> None:
        """The worker's loop; when it ends, everything is noted that was counted."""
        while True:
            await pause(stop, NOTED_EVERY_S)
            await self.flush()
            if stop.is_set():
                return

    async def flush(self) -> None:
        """Note what was counted. What the database does not take waits for the next time."""
        counted, self._counts = self._counts, {}
        if self._dropped:
            _log.warning("pulls_not_counted", number=self._dropped)
            self._dropped = 0
        keys = sorted(counted)
        for start in range(0, len(keys), _AT_ONCE):
            part = {key: counted[key] for key in keys[start : start + _AT_ONCE]}
            try:
                await self._db.transact(pulls.add, _by_reference(part))
            except Problem as problem:
                _log.warning("pulls_not_noted", error=problem.message)
                self._take_back({key: counted[key] for key in keys[start:]})
                return

    def _take_back(self, counted: dict[_Key, list[int]]) -> None:
        for key, (number, last_us) in counted.items():
            newer = self._counts.get(key)
            if newer is not None:
                newer[0] += number
            elif len(self._counts) < self._capacity:
                self._counts[key] = [number, last_us]
            else:
                self._dropped += number


def _by_reference(counts: dict[_Key, list[int]]) -> dict[Counted, Pulls]:
    """Each pull counts for its repository, for its manifest and, where it named one, for its tag."""
    totals: dict[Counted, list[int]] = {}
    for (repository_id, stored, reference), (number, last_us) in counts.items():
        digest = text_of_stored(stored)
        for name in (WHOLE, digest) if reference == digest else (WHOLE, digest, reference):
            total = totals.setdefault((repository_id, name), [0, 0])
            total[0] += number
            total[1] = max(total[1], last_us)
    return {key: Pulls(number=number, last_us=last_us) for key, (number, last_us) in totals.items()}
