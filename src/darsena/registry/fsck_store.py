"""What the store has and the database does not know of, and uploads that have lost their bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from darsena.core.digest import Digest
from darsena.core.errors import UploadUnknown
from darsena.db import Database
from darsena.registry.collecting import find_lost_uploads
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.model import Registry
from darsena.registry.store import consistency, garbage, uploads
from darsena.storage.port import Storage, StoredBlob

_LISTED_AT_ONCE = 500

YOUNG_US = 3600 * 1_000_000
"""What is younger may belong to a write under way."""


class StoreChecker:
    def __init__(self, db: Database, storage: Storage, registry: Registry, examined: Examined, *, repair: bool) -> None:
        self._db = db
        self._storage = storage
        self._registry = registry
        self._examined = examined
        self._repair = repair
        self._before_us = db.clock.now_us() - YOUNG_US

    async def check(self) -> AsyncIterator[Finding]:
        batch: list[StoredBlob] = []
        async for found in self._storage.blobs.scan(self._registry.uid):
            self._examined.stored += 1
            batch.append(found)
            if len(batch) >= _LISTED_AT_ONCE:
                for finding in await self._check_listed(batch):
                    yield finding
                batch = []
        for finding in await self._check_listed(batch):
            yield finding
        async for finding in self._check_upload_rows():
            yield finding
        uid = self._registry.uid
        for upload, size in (await find_lost_uploads(self._db, self._storage, uid, self._before_us)).items():
            if self._repair:
                await self._storage.uploads.abort(uid, upload)
            yield self._finding("upload.orphan", upload, f"{size} stored bytes", repaired=self._repair)
        number, size = await self._storage.measure_leftovers(uid, self._before_us)
        if number:
            if self._repair:
                await self._storage.sweep(uid, self._before_us)
            yield self._finding("leftover", f"{number} files", f"{size} stored bytes", repaired=self._repair)

    async def _check_listed(self, listed: Sequence[StoredBlob]) -> list[Finding]:
        uid = self._registry.uid
        sizes = {found.digest: found.stored_bytes for found in listed if found.written_us < self._before_us}
        if not sizes:
            return []

        async def choose(free: Sequence[Digest]) -> set[Digest]:
            return set(free) - await self._db.read(garbage.list_present, uid, free)

        orphans = await choose(list(sizes))
        removed: set[Digest] = set()
        if orphans and self._repair:
            gone = await self._storage.blobs.remove(uid, list(orphans), self._before_us, choose)
            removed = {found.digest for found in gone}
        return [
            self._finding("blob.orphan", str(digest), f"{sizes[digest]} stored bytes", repaired=digest in removed)
            for digest in sorted(orphans)
        ]

    async def _check_upload_rows(self) -> AsyncIterator[Finding]:
        after, uid = "", self._registry.uid
        while page := await self._db.read(consistency.list_uploads, uid, after):
            for upload, created_us in page:
                self._examined.uploads += 1
                if created_us < self._before_us and not await self._has_bytes(upload):
                    if self._repair:
                        await self._db.transact(uploads.remove, upload)
                    detail = "nobody can continue it"
                    yield self._finding("upload.bytes_missing", upload, detail, repaired=self._repair)
            after = page[-1][0]

    async def _has_bytes(self, upload: str) -> bool:
        """Also true when it has ended meanwhile."""
        try:
            await self._storage.uploads.offset(self._registry.uid, upload)
        except UploadUnknown:
            known = await self._db.read(garbage.list_known_uploads, self._registry.uid, [upload])
            return not known
        return True

    def _finding(self, kind: str, subject: str, detail: str, *, repaired: bool) -> Finding:
        return Finding(kind=kind, registry_uid=self._registry.uid, subject=subject, detail=detail, is_repaired=repaired)
