"""What is in a registry: lists, views with counts, attributes. Lists page by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from darsena.core.digest import Digest
from darsena.core.errors import ManifestUnknown, RepositoryUnknown, TagUnknown
from darsena.core.media_types import INDEXES
from darsena.core.names import RepositoryName, TagName
from darsena.db import Database, Tx
from darsena.registry import document as documents
from darsena.registry.document import MANIFEST_LIMIT_BYTES
from darsena.registry.events import ManifestUpdated, RepositoryUpdated, TagUpdated
from darsena.registry.manifests import SEALED_KIND
from darsena.registry.model import (
    Manifest,
    ManifestView,
    OrderBy,
    Page,
    Pulls,
    Registry,
    Repository,
    RepositoryView,
    Tag,
)
from darsena.registry.store import manifests, pulls, repositories, tags
from darsena.storage.keyring import Keyring

DETAILS_KIND = "quarantine"


class Catalog:
    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring

    # --- lists --------------------------------------------------------------------------------------------------

    async def list_repositories(self, registry: Registry, *, last: str, limit: int) -> Page[str]:
        names = await self._db.read(repositories.list_names, registry.uid, last, limit + 1)
        return Page(items=tuple(names[:limit]), last=names[limit - 1] if len(names) > limit > 0 else None)

    async def list_tag_names(
        self, registry: Registry, repository: RepositoryName, *, last: str, limit: int, hide_quarantined: bool = False
    ) -> Page[str]:
        """Raises RepositoryUnknown."""

        def read(tx: Tx) -> list[str]:
            found = _get(tx, registry, repository)
            return tags.list_names(tx, found.id, last, limit + 1, hide_quarantined=hide_quarantined)

        names = await self._db.read(read)
        return Page(items=tuple(names[:limit]), last=names[limit - 1] if len(names) > limit > 0 else None)

    async def list_tags(
        self,
        registry: Registry,
        repository: RepositoryName,
        *,
        last: str,
        limit: int,
        order: OrderBy,
        digest: Digest | None,
        hide_quarantined: bool = False,
    ) -> Page[Tag]:
        def read(tx: Tx) -> list[Tag]:
            found = _get(tx, registry, repository)
            return tags.list_page(
                tx,
                found.id,
                last=last,
                limit=limit + 1,
                order=order,
                digest=digest,
                hide_quarantined=hide_quarantined,
            )

        rows = await self._db.read(read)
        return Page(items=tuple(rows[:limit]), last=rows[limit - 1].name if len(rows) > limit > 0 else None)

    async def list_manifests(
        self,
        registry: Registry,
        repository: RepositoryName,
        *,
        last: Digest | None,
        limit: int,
        order: OrderBy,
        hide_quarantined: bool = False,
    ) -> Page[ManifestView]:
        def read(tx: Tx) -> tuple[list[Manifest], dict[Digest, list[str]]]:
            found = _get(tx, registry, repository)
            rows = manifests.list_page(
                tx, found.id, last=last, limit=limit + 1, order=order, hide_quarantined=hide_quarantined
            )
            return rows, tags.map_by_digest(tx, found.id, [row.digest for row in rows])

        rows, names = await self._db.read(read)
        views = tuple(ManifestView(manifest=row, tags=tuple(names.get(row.digest, ()))) for row in rows[:limit])
        return Page(items=views, last=str(rows[limit - 1].digest) if len(rows) > limit > 0 else None)

    async def list_referrers(
        self,
        registry: Registry,
        repository: RepositoryName,
        subject: Digest,
        *,
        artifact_type: str | None,
        last: Digest | None,
        limit: int,
        hide_quarantined: bool = False,
    ) -> Page[tuple[Manifest, dict[str, str] | None]]:
        """Manifests that name `subject`, with their annotations; an unknown repository or subject has none.

        A page ends early when its manifests together are larger than one manifest may be.
        """

        def read(tx: Tx) -> Page[tuple[Manifest, dict[str, str] | None]]:
            found = repositories.find(tx, registry.uid, repository)
            if found is None:
                return Page(items=(), last=None)
            rows = manifests.list_referrers(
                tx,
                found.id,
                subject,
                artifact_type=artifact_type,
                last=last,
                limit=limit + 1,
                hide_quarantined=hide_quarantined,
            )
            page = rows[: min(limit, _count_fitting(rows))]
            items = [(row, documents.read_annotations(self._open(tx, registry, found, row))) for row in page]
            return Page(items=tuple(items), last=str(page[-1].digest) if len(rows) > len(page) > 0 else None)

        await self._keyring.load(registry.uid)
        return await self._db.read(read)

    # --- one ----------------------------------------------------------------------------------------------------

    async def get_repository(self, registry: Registry, repository: RepositoryName) -> RepositoryView:
        return await self._db.read(lambda tx: repositories.view(tx, _get(tx, registry, repository)))

    async def get_tag(
        self, registry: Registry, repository: RepositoryName, name: TagName, *, hide_quarantined: bool = False
    ) -> tuple[Tag, Pulls | None]:
        """With the pulls of what it names. Raises TagUnknown, also in an unknown repository, as ACR does."""

        def read(tx: Tx) -> tuple[Tag, Pulls | None]:
            found, tag = _get_tag(tx, registry, repository, name)
            if hide_quarantined:
                named = manifests.find(tx, found.id, tag.digest)
                if named is None or named.is_quarantined:
                    raise TagUnknown(name)
            return tag, pulls.find(tx, found.id, str(tag.digest))

        return await self._db.read(read)

    async def get_manifest(
        self, registry: Registry, repository: RepositoryName, digest: Digest
    ) -> tuple[ManifestView, list[dict[str, Any]] | None, str | None]:
        """The view, the children of an index (None for others) and the quarantine details."""

        def read(tx: Tx) -> tuple[ManifestView, list[dict[str, Any]] | None, str | None]:
            found, row = _get_manifest(tx, registry, repository, digest)
            names = tags.map_by_digest(tx, found.id, [digest]).get(digest, [])
            children = None
            if row.media_type in INDEXES:
                children = documents.read_children(self._open(tx, registry, found, row))
            details = manifests.find_quarantine_details(tx, found.id, digest)
            if details is not None:
                details = self._keyring.unseal(registry.uid, DETAILS_KIND, str(digest), details)
            text = None if details is None else details.decode("utf-8")
            pulled = pulls.find(tx, found.id, str(digest))
            return ManifestView(manifest=row, tags=tuple(names), pulls=pulled), children, text

        await self._keyring.load(registry.uid)
        return await self._db.read(read)

    # --- attributes ---------------------------------------------------------------------------------------------

    async def set_repository_attributes(
        self, registry: Registry, repository: RepositoryName, changes: Mapping[str, bool]
    ) -> None:
        """`changes` are column names of Attributes; locks never forbid this, or nothing could be unlocked."""

        def write(tx: Tx) -> None:
            found = _get(tx, registry, repository, lock=True)
            if changes:
                repositories.set_attributes(tx, found.id, changes)
                attributes = replace(found.attributes, **changes).as_wire()
                tx.emit(registry.stream, RepositoryUpdated(repository=repository, attributes=attributes))

        await self._db.transact(write)

    async def set_tag_attributes(
        self, registry: Registry, repository: RepositoryName, name: TagName, changes: Mapping[str, bool]
    ) -> None:
        def write(tx: Tx) -> None:
            found, tag = _get_tag(tx, registry, repository, name, lock=True)
            if changes:
                tags.set_attributes(tx, found.id, name, changes)
                attributes = replace(tag.attributes, **changes).as_wire()
                tx.emit(registry.stream, TagUpdated(repository=repository, tag=name, attributes=attributes))

        await self._db.transact(write)

    async def set_manifest_attributes(
        self,
        registry: Registry,
        repository: RepositoryName,
        digest: Digest,
        changes: Mapping[str, bool],
        *,
        quarantine_state: str | None = None,
        quarantine_details: str | None = None,
    ) -> None:
        values: dict[str, Any] = dict(changes)
        if quarantine_state is not None:
            values["quarantine_state"] = quarantine_state
        if quarantine_details is not None:
            plain = quarantine_details.encode()
            await self._keyring.load(registry.uid)
            values["quarantine_details"] = self._keyring.seal(registry.uid, DETAILS_KIND, str(digest), plain)

        def write(tx: Tx) -> None:
            found, row = _get_manifest(tx, registry, repository, digest, lock=True)
            if values:
                manifests.set_attributes(tx, found.id, digest, values)
                attributes = replace(row.attributes, **changes).as_wire()
                state = quarantine_state if quarantine_state is not None else row.quarantine_state
                event = ManifestUpdated(
                    repository=repository,
                    digest=str(digest),
                    attributes=attributes,
                    quarantine_state=state,
                    previous_quarantine_state=row.quarantine_state,
                )
                tx.emit(registry.stream, event)

        await self._db.transact(write)

    def _open(self, tx: Tx, registry: Registry, repository: Repository, row: Manifest) -> bytes:
        sealed = manifests.get_sealed(tx, repository.id, row.digest)
        return self._keyring.unseal(registry.uid, SEALED_KIND, str(row.digest), sealed)


def _count_fitting(rows: Sequence[Manifest]) -> int:
    """How many from the first on stay together below a manifest's limit; one at least."""
    total = 0
    for count, row in enumerate(rows):
        total += row.size
        if total > MANIFEST_LIMIT_BYTES and count:
            return count
    return len(rows)


def _get(tx: Tx, registry: Registry, name: RepositoryName, *, lock: bool = False) -> Repository:
    """`lock`: a push that has seen the old attributes must have ended before they change."""
    found = repositories.find(tx, registry.uid, name, lock=lock)
    if found is None:
        raise RepositoryUnknown(name)
    return found


def _get_tag(
    tx: Tx, registry: Registry, repository: RepositoryName, name: TagName, *, lock: bool = False
) -> tuple[Repository, Tag]:
    found = repositories.find(tx, registry.uid, repository, lock=lock)
    tag = None if found is None else tags.find(tx, found.id, name)
    if found is None or tag is None:
        raise TagUnknown(name)
    return found, tag


def _get_manifest(
    tx: Tx, registry: Registry, repository: RepositoryName, digest: Digest, *, lock: bool = False
) -> tuple[Repository, Manifest]:
    found = repositories.find(tx, registry.uid, repository, lock=lock)
    row = None if found is None else manifests.find(tx, found.id, digest)
    if found is None or row is None:
        raise ManifestUnknown(str(digest))
    return found, row
