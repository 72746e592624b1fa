"""Rows that point at rows which are not there, repository by repository."""

from __future__ import annotations

from collections.abc import AsyncIterator

from darsena.core.digest import Digest
from darsena.core.names import RepositoryName
from darsena.db import Database, Tx
from darsena.registry.events import BlobUnlinked
from darsena.registry.fsck_model import Examined, Finding
from darsena.registry.model import Registry
from darsena.registry.store import consistency, repositories


class RowChecker:
    def __init__(self, db: Database, registry: Registry, examined: Examined, *, repair: bool) -> None:
        self._db = db
        self._registry = registry
        self._examined = examined
        self._repair = repair

    async def check(self) -> AsyncIterator[Finding]:
        last_id = 0
        while found := await self._db.read(consistency.list_repositories, self._registry.uid, last_id):
            for repository_id, name in found:
                for finding in await self._check_repository(repository_id, name):
                    yield finding
            last_id = found[-1][0]

    async def _check_repository(self, repository_id: int, name: str) -> list[Finding]:
        """Each statement sees one snapshot in which a push or a deletion is whole: no second look is needed."""
        read = self._db.read
        findings = [
            self._finding("tag.dangling", name, tag, f"it names {digest}")
            for tag, digest in await read(consistency.list_dangling_tags, repository_id)
        ]
        findings += [
            self._finding("manifest.content_missing", name, str(source), f"{target} is missing")
            for source, target in await read(consistency.list_missing_references, repository_id)
        ]
        for source in await read(consistency.list_dangling_references, repository_id):
            if self._repair:
                await self._db.transact(consistency.remove_dangling_references, repository_id, source)
            detail = "the manifest is not there"
            findings.append(self._finding("reference.dangling", name, str(source), detail, repaired=self._repair))
        links = await read(consistency.list_dangling_links, self._registry.uid, repository_id)
        gone = await self._db.transact(self._unlink, repository_id, name, links) if links and self._repair else []
        for digest in links:
            detail = "the blob has no row"
            findings.append(self._finding("link.dangling", name, str(digest), detail, repaired=digest in gone))
        return findings

    def _unlink(self, tx: Tx, repository_id: int, name: str, digests: list[Digest]) -> list[Digest]:
        repositories.find(tx, self._registry.uid, name, lock=True)
        gone = consistency.remove_dangling_links(tx, self._registry.uid, repository_id, digests)
        for digest in gone:
            tx.emit(self._registry.stream, BlobUnlinked(repository=RepositoryName(name), digest=str(digest)))
        return gone

    def _finding(self, kind: str, repository: str, subject: str, detail: str, *, repaired: bool = False) -> Finding:
        return Finding(
            kind=kind,
            registry_uid=self._registry.uid,
            repository=repository,
            subject=subject,
            detail=detail,
            is_repaired=repaired,
        )
