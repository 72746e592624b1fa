"""Pulls, counted in memory and noted in batches: a pull costs a look-up in a dictionary and no transaction.

What is not noted yet is lost with a killed process: counts are statistics. Memory is bounded before they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, islice
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
"""Of different manifests and tags between two batches; more are not counted, and the log says so."""
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
        self._manifests: dict[tuple[int, bytes], _Count] = {}
        self._tags: dict[tuple[int, str], _Count] = {}
        self._waiting: list[Counted] = []
        """What the database did not take."""
        self._dropped = 0

    def count(self, repository_id: int, digest: bytes, reference: str) -> None:
        """One GET of a manifest that was answered: by tag, or by a digest."""
        now_us, manifest, tag = self._clock.now_us(), (repository_id, digest), (repository_id, reference)
        of_manifest, of_tag = self._manifests.get(manifest), self._tags.get(tag)
        if (of_manifest is None or of_tag is None) and not self._has_room():
            self._dropped += 1
            return
        if of_manifest is None:
            of_manifest = self._manifests[manifest] = [0, 0]
        of_manifest[0] += 1
        of_manifest[1] = now_us
        if ":" in reference:
            return
        if of_tag is None:
            of_tag = self._tags[tag] = [0, 0]
        of_tag[0] += 1
        of_tag[1] = now_us

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
        while part := list(islice(rows, _AT_ONCE)):
            try:
                await self._db.transact(pulls.add, part)
            except Problem as problem:
                _log.warning("pulls_not_noted", error=problem.message)
                self._waiting += [*part, *rows]
                return

    def _has_room(self) -> bool:
        return len(self._manifests) + len(self._tags) + len(self._waiting) < self._capacity

    def _take(self) -> Iterator[Counted]:
        """Everything, each thing once: a pull counts for its repository, for its manifest and, if it named one, for its
        tag."""
        manifests, self._manifests = self._manifests, {}
        tags, self._tags = self._tags, {}
        waiting, self._waiting = self._waiting, []
        of_tags = ((id_, name, number, last_us) for (id_, name), (number, last_us) in tags.items())
        rows = chain(_list_manifests(manifests), of_tags)
        return iter(_add_up(chain(waiting, rows))) if waiting else rows


def _list_manifests(counts: dict[tuple[int, bytes], _Count]) -> list[Counted]:
    """And the repositories that they are in."""
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
