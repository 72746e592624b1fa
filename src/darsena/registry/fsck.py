"""Metadata against bytes, both ways, digests included, while the server works.

Findings come one by one, memory stays bounded, and what a push or gc changes meanwhile is no finding: each is looked
at a second time. `repair` removes garbage, completes notes, and sees to it that lost content is asked for again: a
blob whose bytes are missing or wrong loses its row and keeps its links, wrong bytes go to quarantine. So HEAD answers
404 for it, a push of the same image brings it back, and no manifest or tag is ever taken away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from darsena.core.digest import Digest, new_hasher
from darsena.core.errors import BlobUnknown, ContentCorrupt, DiskFailure, Problem
from darsena.db import Database, Tx
from darsena.registry import document as documents
from darsena.registry.document import Document
from darsena.registry.events import BlobRemoved
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.fsck_rows import RowChecker
from darsena.registry.fsck_store import StoreChecker
from darsena.registry.manifests import SEALED_KIND
from darsena.registry.model import Registry
from darsena.registry.store import blobs, consistency, garbage, totals
from darsena.registry.store.consistency import StoredManifest
from darsena.storage.keyring import Keyring
from darsena.storage.port import Storage

Findings = AsyncIterator[Finding]

UNREADABLE: Final = "blob.unreadable"
"""Never given up of itself: the bytes may be sound, and the disk or its rights be mended."""


class Fsck:
    """`list_folders`: the registries that the store has something of."""

    def __init__(
        self, db: Database, storage: Storage, keyring: Keyring, list_folders: Callable[[], Awaitable[Sequence[str]]]
    ) -> None:
        self._db = db
        self._storage = storage
        self._keyring = keyring
        self._list_folders = list_folders

    async def check_folders(self, known: Callable[[], Awaitable[Sequence[Registry]]]) -> Findings:
        """Folders of registries that are not there. Never removed here: the database may be the wrong one."""
        folders = await self._list_folders()
        uids = {registry.uid for registry in await known()}
        for uid in folders:
            if uid not in uids:
                detail = "the store has a folder of a registry that the database does not know"
                yield Finding(kind="registry.orphan", registry_uid=uid, subject=uid, detail=detail)

    async def check(
        self, registries: Sequence[Registry], examined: Examined, *, repair: bool = False, digests: bool = True
    ) -> Findings:
        """`digests` False: only whether the bytes are there and end as they should. `examined` is counted up."""
        for registry in registries:
            await self._keyring.load(registry.uid)
            rows = RowChecker(self._db, registry, examined, repair=repair)
            store = StoreChecker(self._db, self._storage, registry, examined, repair=repair)
            for findings in (
                self._check_blobs(registry, examined, repair=repair, digests=digests),
                self._check_manifests(registry, examined, repair=repair),
                rows.check(),
                store.check(),
            ):
                async for finding in findings:
                    yield finding
            examined.registries += 1

    # --- blobs --------------------------------------------------------------------------------------------------

    async def _check_blobs(self, registry: Registry, examined: Examined, *, repair: bool, digests: bool) -> Findings:
        after = b""
        while page := await self._db.read(consistency.list_blobs, registry.uid, after):
            for digest, size in page:
                fault = await self._find_fault(registry.uid, digest, size, digests=digests)
                if fault is not None and await self._db.read(blobs.find_size, registry.uid, digest) is not None:
                    kind, detail = await self._find_fault(registry.uid, digest, size, digests=digests) or fault
                    repaired = repair and kind != UNREADABLE and await self._give_up(registry, digest)
                    yield Finding(
                        kind=kind, registry_uid=registry.uid, subject=str(digest), detail=detail, is_repaired=repaired
                    )
                examined.blobs += 1
                examined.bytes += size
            after = page[-1][0].stored

    async def _find_fault(
        self, registry_uid: str, digest: Digest, size: int, *, digests: bool
    ) -> tuple[str, str] | None:
        try:
            stored = await self._storage.blobs.stat(registry_uid, digest)
            if stored is None:
                return "blob.bytes_missing", f"there are no bytes; the row says {size}"
            if stored != size:
                return "blob.size_differs", f"{stored} bytes are stored; the row says {size}"
            if not digests:
                return None
            hasher = new_hasher(digest.algorithm)
            async for chunk in self._storage.blobs.read(registry_uid, digest):
                await asyncio.to_thread(hasher.update, chunk)
        except ContentCorrupt as problem:
            return "blob.corrupt", problem.message
        except DiskFailure as problem:
            return UNREADABLE, problem.message
        except BlobUnknown:
            return "blob.bytes_missing", f"there are no bytes; the row says {size}"
        found = hasher.hexdigest()
        return None if found == digest.hex else ("blob.corrupt", f"the bytes have the digest {found}")

    async def _give_up(self, registry: Registry, digest: Digest) -> bool:
        """The row first: from then on nobody is told that the blob is there. Then the bytes are put away."""

        def write(tx: Tx) -> None:
            size = consistency.remove_row(tx, registry.uid, digest)
            if size is not None:
                tx.emit(registry.stream, BlobRemoved(digest=str(digest), size=size))
                totals.change(tx, registry.uid, -size)

        async def choose(free: Sequence[Digest]) -> set[Digest]:
            return set(free) - await self._db.read(garbage.list_present, registry.uid, free)

        await self._db.transact(write)
        await self._storage.blobs.quarantine(registry.uid, digest, choose)
        return True

    # --- manifests ----------------------------------------------------------------------------------------------

    async def _check_manifests(self, registry: Registry, examined: Examined, *, repair: bool) -> Findings:
        last_id = 0
        while found := await self._db.read(consistency.list_repositories, registry.uid, last_id):
            for repository_id, name in found:
                after = b""
                while page := await self._db.read(consistency.list_manifests, repository_id, after):
                    for digest in page:
                        finding = await self._check_manifest(registry, repository_id, name, digest, repair=repair)
                        if finding is not None:
                            yield finding
                    examined.manifests += len(page)
                    after = page[-1].stored
            last_id = found[-1][0]

    async def _check_manifest(
        self, registry: Registry, repository_id: int, name: str, digest: Digest, *, repair: bool
    ) -> Finding | None:
        row = await self._db.read(consistency.find_manifest, repository_id, digest)
        if row is None:
            return None
        try:
            document = await asyncio.to_thread(self._open, registry, digest, row)
        except Problem as problem:
            return _of_manifest("manifest.corrupt", registry, name, digest, problem.message)
        missing_blobs = set(document.blobs) - row.references
        missing_children = set(document.manifests) - row.references
        if not missing_blobs and not missing_children:
            return None
        if repair:
            note = consistency.note_references
            await self._db.transact(note, repository_id, digest, missing_blobs - missing_children, missing_children)
        texts = sorted(str(target) for target in missing_blobs | missing_children)
        detail = f"{len(texts)} are not noted: {', '.join(texts[:3])}"
        return _of_manifest("manifest.references_differ", registry, name, digest, detail, repaired=repair)

    def _open(self, registry: Registry, digest: Digest, row: StoredManifest) -> Document:
        content = self._keyring.unseal(registry.uid, SEALED_KIND, str(digest), row.sealed)
        digest.check(Digest.of(content, digest.algorithm))
        if row.size != len(content):
            raise ContentCorrupt(f"it has {len(content)} bytes; its row says {row.size}")
        return documents.parse(content, row.media_type, digest)


def _of_manifest(
    kind: str, registry: Registry, repository: str, digest: Digest, detail: str, *, repaired: bool = False
) -> Finding:
    return Finding(
        kind=kind,
        registry_uid=registry.uid,
        repository=repository,
        subject=str(digest),
        detail=detail,
        is_repaired=repaired,
    )
