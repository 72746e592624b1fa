"""Manifests and tags: put and looked up. A manifest is accepted only when all that it references is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from darsena.core.digest import Digest
from darsena.core.errors import (
    BlobUnknown,
    Locked,
    ManifestBlobUnknown,
    ManifestUnknown,
    RepositoryUnknown,
    RequestTooLarge,
    StorageFull,
    Unavailable,
)
from darsena.core.failpoints import failpoint
from darsena.core.media_types import IMAGE_CONFIGS
from darsena.core.names import RepositoryName, TagName
from darsena.db import Database, Tx
from darsena.registry import document as documents
from darsena.registry.document import Document
from darsena.registry.events import ManifestPushed, TagMoved
from darsena.registry.model import QUARANTINED, Manifest, Pushed, Registry, Repository
from darsena.registry.repository import ensure_repository
from darsena.registry.store import blobs, manifests, repositories, tags, untagged
from darsena.storage.keyring import Keyring
from darsena.storage.port import BlobStore

SEALED_KIND = "manifest"
_INLINE_BYTES = 64 * 1024
"""Reading a larger manifest takes milliseconds: not in the event loop."""
_CONFIG_LIMIT_BYTES = 4 * 1024 * 1024

Reference = TagName | Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A manifest's exact bytes and what goes with them."""

    content: bytes
    media_type: str
    digest: Digest
    repository_id: int
    is_quarantined: bool
    """Only who may read what is in quarantine may have it."""


class Manifests:
    def __init__(self, db: Database, store: BlobStore, keyring: Keyring) -> None:
        self._db = db
        self._store = store
        self._keyring = keyring

    async def put(
        self,
        registry: Registry,
        repository: RepositoryName,
        reference: Reference,
        content: bytes,
        content_type: str,
        more_tags: Sequence[TagName] = (),
    ) -> Pushed:
        """Store these exact bytes and move the tag that is named, and `more_tags`: one transaction, visible whole.

        Raises ManifestInvalid, ManifestTooLarge, DigestMismatch, Locked, ManifestBlobUnknown (with all that is
        missing).
        """
        expected = reference if isinstance(reference, Digest) else None
        if len(content) > _INLINE_BYTES:
            document = await asyncio.to_thread(documents.parse, content, content_type, expected)
        else:
            document = documents.parse(content, content_type, expected)
        if expected is not None:
            expected.check(document.digest)
        await self._keyring.load(registry.uid)
        platform = await self._read_platform(registry, repository, document)
        sealed = self._keyring.seal(registry.uid, SEALED_KIND, str(document.digest), content)
        failpoint("manifest.before_transaction")
        names = [*([reference] if isinstance(reference, TagName) else []), *more_tags]
        pushed = await self._db.transact(self._put, registry, repository, names, document, sealed, platform)
        failpoint("manifest.after_transaction")
        return pushed

    async def get(
        self,
        registry: Registry,
        repository: RepositoryName,
        reference: Reference,
        *,
        sees_quarantined: bool = False,
    ) -> Served:
        """Raises RepositoryUnknown, ManifestUnknown, Locked; ContentCorrupt rather than give what was not pushed.

        What is in quarantine has no tag for anybody, and may be read by digest where `sees_quarantined`.
        """
        await self._keyring.load(registry.uid)
        return await self._db.read(self._serve, registry, repository, reference, sees_quarantined)

    def _serve(
        self, tx: Tx, registry: Registry, name: RepositoryName, reference: Reference, sees_quarantined: bool
    ) -> Served:
        repository, found = self._find(tx, registry.uid, name, reference)
        is_quarantined = registry.quarantine and found.is_quarantined
        if is_quarantined and not isinstance(reference, Digest):
            raise ManifestUnknown(reference)
        if is_quarantined and not sees_quarantined:
            raise Locked(f"the manifest {found.digest} is in quarantine ({found.quarantine_state})")
        sealed = manifests.get_sealed(tx, repository.id, found.digest)
        content = self._keyring.unseal(registry.uid, SEALED_KIND, str(found.digest), sealed)
        return Served(
            content=content,
            media_type=found.media_type,
            digest=found.digest,
            repository_id=repository.id,
            is_quarantined=is_quarantined,
        )

    def _find(
        self, tx: Tx, registry_uid: str, name: RepositoryName, reference: Reference
    ) -> tuple[Repository, Manifest]:
        """For a pull: locks against reading are honoured."""
        repository = get_readable(tx, registry_uid, name)
        digest = reference if isinstance(reference, Digest) else self._resolve(tx, repository, reference)
        found = manifests.find(tx, repository.id, digest)
        if found is None:
            raise ManifestUnknown(str(reference))
        if not found.attributes.read_enabled:
            raise Locked(f"the manifest {digest} is locked against reading (readEnabled is false)")
        return repository, found

    async def get_blob_size(self, registry: Registry, repository: RepositoryName, digest: Digest) -> int:
        """Bytes of a blob that may be served from this repository. Raises RepositoryUnknown, BlobUnknown, Locked."""

        size, is_marked = await self._db.look_up(_find_blob, registry.uid, repository, digest)
        if is_marked:
            with suppress(StorageFull, Unavailable):  # reads go on where writes cannot
                await self._db.transact(self._keep_blob, registry, repository, digest)
        return size

    def _keep_blob(self, tx: Tx, registry: Registry, name: RepositoryName, digest: Digest) -> None:
        """A push may rely on what we answer: gc starts anew with this blob."""
        if not blobs.keep(tx, registry.uid, digest):
            raise BlobUnknown(str(digest))
        _find_blob(tx, registry.uid, name, digest)

    # --- inside -------------------------------------------------------------------------------------------------

    def _resolve(self, tx: Tx, repository: Repository, tag: TagName) -> Digest:
        found = tags.find(tx, repository.id, tag)
        if found is None:
            raise ManifestUnknown(tag)
        if not found.attributes.read_enabled:
            raise Locked(f"the tag {tag} is locked against reading (readEnabled is false)")
        return found.digest

    async def _read_platform(
        self, registry: Registry, repository: RepositoryName, document: Document
    ) -> tuple[str | None, str | None]:
        """From the image's config, which must be in this very repository to be looked at."""
        if document.config is None or document.config_media_type not in IMAGE_CONFIGS:
            return None, None
        try:
            size = await self.get_blob_size(registry, repository, document.config)
            config = self._store.read_small(registry.uid, document.config, size)
            if config is None:
                config = await self._store.read_whole(registry.uid, document.config, _CONFIG_LIMIT_BYTES)
        except (RepositoryUnknown, BlobUnknown, RequestTooLarge, Locked):
            return None, None  # the transaction says what is missing
        return documents.read_platform(config)

    def _put(
        self,
        tx: Tx,
        registry: Registry,
        name: RepositoryName,
        names: Sequence[TagName],
        document: Document,
        sealed: bytes,
        platform: tuple[str | None, str | None],
    ) -> Pushed:
        repository = ensure_repository(tx, registry, name)
        failpoint("manifest.after_repository")
        existing = manifests.find(tx, repository.id, document.digest)
        if existing is not None and not existing.attributes.write_enabled:
            raise Locked(f"the manifest {document.digest} is locked against writing (writeEnabled is false)")
        self._check_references(tx, repository, document)
        if existing is None:
            foreign = blobs.list_linked(tx, repository.id, document.foreign)
            state = QUARANTINED if registry.quarantine else None
            manifests.insert_new(tx, repository.id, document, sealed, platform, foreign, state)
            tx.emit(registry.stream, _pushed_event(name, document, state))
        failpoint("manifest.after_row")
        for tag in names:
            self._move_tag(tx, registry, repository, tag, document.digest, is_known=existing is not None)
        failpoint("manifest.after_tag")
        if tx.events:
            repositories.touch(tx, repository.id)
        return Pushed(digest=document.digest, subject=document.subject, is_new=existing is None)

    def _check_references(self, tx: Tx, repository: Repository, document: Document) -> None:
        """A missing subject is fine (distribution-spec, Pushing Manifests with Subject)."""
        linked = blobs.list_linked(tx, repository.id, document.blobs)
        known = manifests.list_known(tx, repository.id, document.manifests)
        missing = [digest for digest in document.blobs if digest not in linked]
        missing += [digest for digest in document.manifests if digest not in known]
        if missing:
            raise ManifestBlobUnknown([str(digest) for digest in missing])

    def _move_tag(
        self, tx: Tx, registry: Registry, repository: Repository, name: TagName, digest: Digest, *, is_known: bool
    ) -> None:
        """`is_known`: the manifest was there before, so it may have lost its last tag once."""
        existing = tags.find(tx, repository.id, name)
        if existing is not None and not existing.attributes.write_enabled:
            raise Locked(f"the tag {name} is locked against writing (writeEnabled is false)")
        if existing is not None and existing.digest == digest:
            return
        failpoint("tag.before_move")
        tags.put(tx, repository.id, name, digest, existing)
        if existing is not None:
            untagged.note(tx, repository.id, existing.digest)
        if is_known:
            untagged.remove(tx, repository.id, [digest])
        failpoint("tag.after_move")
        previous = None if existing is None else str(existing.digest)
        event = TagMoved(repository=repository.name, tag=name, previous_digest=previous, digest=str(digest))
        tx.emit(registry.stream, event)


def get_readable(tx: Tx, registry_uid: str, name: RepositoryName) -> Repository:
    """Raises RepositoryUnknown, Locked."""
    repository = repositories.find(tx, registry_uid, name)
    if repository is None:
        raise RepositoryUnknown(name)
    if not repository.attributes.read_enabled:
        raise _unreadable(name)
    return repository


def _unreadable(name: RepositoryName) -> Locked:
    return Locked(f"the repository {name} is locked against reading (readEnabled is false)")


def _find_blob(tx: Tx, registry_uid: str, name: RepositoryName, digest: Digest) -> tuple[int, bool]:
    """(bytes, whether gc has marked it). Raises RepositoryUnknown, BlobUnknown, Locked."""
    found = blobs.find_named(tx, registry_uid, name, digest)
    if found is None:
        raise RepositoryUnknown(name)
    if not found.is_readable:
        raise _unreadable(name)
    if found.size is None:
        raise BlobUnknown(str(digest))
    return found.size, found.is_marked


def _pushed_event(name: RepositoryName, document: Document, quarantine_state: str | None) -> ManifestPushed:
    return ManifestPushed(
        repository=name,
        digest=str(document.digest),
        media_type=document.media_type,
        size=document.size,
        artifact_type=document.artifact_type,
        subject=None if document.subject is None else str(document.subject),
        quarantine_state=quarantine_state,
    )
