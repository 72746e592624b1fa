"""The usage reader: follows the streams of registries and keeps their totals.

The totals and the cursor change in one transaction, so no event counts twice. Behind the journal's floor it counts anew
and goes on from the head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from darsena.core.errors import Problem
from darsena.db import Database, Tx
from darsena.jobs.wake import pause
from darsena.journal import Entry
from darsena.journal.readers import list_lagging_streams, read_batch
from darsena.usage import store
from darsena.usage.store import Totals

_log: structlog.stdlib.BoundLogger = structlog.get_logger("darsena.usage")

READER: Final = "usage"
_PREFIX = "registry:"
_EVERY_S = 1.0


class UsageReader:
    """`exists` says whether a registry is still there: events of a deleted one are passed over."""

    def __init__(self, db: Database, exists: Callable[[Tx, str], bool]) -> None:
        self._db = db
        self._exists = exists

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.catch_up()
            except Problem as problem:
                _log.warning("usage_not_read", error=problem.message)
            except Exception:
                _log.exception("usage_not_read")
            await pause(stop, _EVERY_S)

    async def catch_up(self) -> int:
        """Read to the head of every registry's stream; returns how many entries that were."""
        total = 0
        for stream in await self._db.read(list_lagging_streams, READER, _PREFIX):
            await self._db.transact(self._cross_gap, stream)
            while count := await self._db.transact(read_batch, READER, stream, self._apply):
                total += count
        return total

    def forget_registry(self, tx: Tx, registry_uid: str) -> None:
        """In the transaction that deletes the registry."""
        store.forget(tx, registry_uid)

    def _cross_gap(self, tx: Tx, stream: str) -> None:
        if store.find_cursor(tx, READER, stream) >= store.find_floor(tx, stream):
            return
        store.lock_cursor(tx, READER, stream)
        newest = store.lock_head(tx, stream)
        registry_uid = _registry_of(stream)
        if self._exists(tx, registry_uid):
            store.put(tx, registry_uid, store.count_anew(tx, registry_uid))
        store.set_cursor(tx, READER, stream, newest)

    def _apply(self, tx: Tx, entries: Sequence[Entry]) -> None:
        change = Totals()
        for entry in entries:
            change += _change_of(entry)
        registry_uid = _registry_of(entries[0].stream)
        if change and self._exists(tx, registry_uid):
            store.add(tx, registry_uid, change)


def _change_of(entry: Entry) -> Totals:
    match entry.kind:
        case "blob.added":
            return Totals(size_bytes=int(entry.decode()["size"]), blobs=1)
        case "blob.removed":
            return Totals(size_bytes=-int(entry.decode()["size"]), blobs=-1)
        case "manifest.pushed":
            return Totals(manifests=1)
        case "manifest.deleted":
            return Totals(manifests=-1)
        case "repository.created":
            return Totals(repositories=1)
        case "repository.deleted":
            return Totals(repositories=-1)
        case _:
            return Totals()


def _registry_of(stream: str) -> str:
    return stream.removeprefix(_PREFIX).partition("@")[0]
