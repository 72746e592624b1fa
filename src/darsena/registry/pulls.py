"""Pulls, counted in memory and noted in batches: a pull costs a look-up in a dictionary and no transaction.

What is not noted yet is lost with a killed process: counts are statistics. Memory is bounded before they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from darsena.core.digest import text_of_stored
from darsena.core.errors import Problem
from darsena.db import Database
from darsena.jobs.wake import pause
from darsena.registry.store import pulls
from darsena.registry.store.pulls import WHOLE, Counted

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.registry")

NOTED_EVERY_S: Final = 2.0
CAPACITY: Final = 50_000
"""Of different manifests between two batches; more are not counted, and the log says so."""
_AT_ONCE: Final = 2_000
"""Rows of one transaction: some ten milliseconds."""

_Count = list[int]
"""[number of pulls, time of the last one]."""


class PullCounter:
    """`count` and `flush` belong to one event loop."""

    def __init__(self, db: Database, *, capacity: int = CAPACITY) -> None:
        self._db = db
        self._clock = db.clock
        self._capacity = capacity
        self._counts: dict[tuple[int, bytes], _Count] = {}
        self._waiting: list[Counted] = []
        """What the database did not take."""
        self._dropped = 0

    def count(self, repository_id: int, digest: bytes) -> None:
        """One GET of a manifest that was answered."""
        manifest = (repository_id, digest)
        count = self._counts.get(manifest)
        if count is None:
            if len(self._counts) + len(self._waiting) >= self._capacity:
                self._dropped += 1
                return
            count = self._counts[manifest] = [0, 0]
        count[0] += 1
        count[1] = self._clock.now_us()

    async def run(self, stop: asyncio.Event) -> None:
        """The worker's loop; when it ends, everything is noted that was counted."""
        while True:
            await pause(stop, NOTED_EVERY_S)
            await self.flush()
            if stop.is_set():
                return

    async def flush(self) -> None:
        """Note what was counted. What the database does not take waits for the next time."""
        if self._dropped:
            _log.warning("pulls_not_counted", number=self._dropped)
            self._dropped = 0
        rows = self._take()
        for start in range(0, len(rows), _AT_ONCE):
            try:
                await self._db.transact(pulls.add, rows[start : start + _AT_ONCE])
            except Problem as problem:
                _log.warning("pulls_not_noted", error=problem.message)
                self._waiting += rows[start:]
                return

    def _take(self) -> list[Counted]:
        """Everything, each thing once: a pull counts for its manifest and for its repository."""
        counts, self._counts = self._counts, {}
        waiting, self._waiting = self._waiting, []
        rows = _list(counts)
        return _add_up([*waiting, *rows]) if waiting else rows


def _list(counts: dict[tuple[int, bytes], _Count]) -> list[Counted]:
    """Of manifests, and of the repositories that they are in."""
    found = [(id_, stored, number, last_us) for (id_, stored), (number, last_us) in counts.items()]
    rows = [(id_, text_of_stored(stored), number, last_us) for id_, stored, number, last_us in found]
    return rows + _add_up((id_, WHOLE, number, last_us) for id_, _, number, last_us in found)


def _add_up(rows: Iterable[Counted]) -> list[Counted]:
    totals: dict[tuple[int, str], _Count] = {}
    for id_, reference, number, last_us in rows:
        total = totals.setdefault((id_, reference), [0, 0])
        total[0] += number
        total[1] = max(total[1], last_us)
    return [(*key, number, last_us) for key, (number, last_us) in totals.items()]
