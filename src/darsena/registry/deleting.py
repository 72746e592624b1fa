"""Deletions: row and event first, bytes later by gc. An index's child and a locked thing are never taken."""

from __future__ import annotations

from darsena.core.digest import Digest
from darsena.core.errors import BlobUnknown, Locked, ManifestUnknown, RepositoryUnknown, TagUnknown, Unsupported
from darsena.core.failpoints import failpoint
from darsena.core.names import RepositoryName, TagName
from darsena.db import Database, Tx
from darsena.registry.events import BlobUnlinked, ManifestDeleted, RepositoryDeleted, TagDeleted
from darsena.registry.model import Attributes, Deleted, Manifest, Registry, Repository
from darsena.registry.repository import check_writable
from darsena.registry.store import blobs, manifests, repositories, tags, totals, untagged, uploads


class Deleting:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def delete_tag(self, registry: Registry, repository: RepositoryName, tag: TagName) -> None:
        """Remove the name only; the manifest stays. Raises TagUnknown (also in an unknown repository), Locked."""
        await self._db.transact(self._delete_tag, registry, repository, tag)
        failpoint("delete.after_tag")

    async def delete_manifest(self, registry: Registry, repository: RepositoryName, digest: Digest) -> None:
        """With its tags and everything that refers to it as its subject. Raises ManifestUnknown, Locked."""
        await self._db.transact(self.remove_manifest, registry, repository, digest)
        failpoint("delete.after_manifest")

    async def delete_blob(self, registry: Registry, repository: RepositoryName, digest: Digest) -> None:
        """Unlink it here. Raises BlobUnknown, Unsupported while a manifest of the repository needs it, Locked."""
        await self._db.transact(self._delete_blob, registry, repository, digest)
        failpoint("delete.after_blob")

    async def delete_repository(self, registry: Registry, repository: RepositoryName) -> Deleted:
        """Raises RepositoryUnknown, Locked when it or anything in it is locked."""
        deleted = await self._db.transact(self._delete_repository, registry, repository)
        failpoint("delete.after_repository")
        return deleted

    # --- inside -------------------------------------------------------------------------------------------------

    def _delete_tag(self, tx: Tx, registry: Registry, name: RepositoryName, tag: TagName) -> None:
        repository = repositories.find(tx, registry.uid, name, lock=True)
        found = None if repository is None else tags.find(tx, repository.id, tag)
        if repository is None or found is None:
            raise TagUnknown(tag)
        check_writable(repository)
        _check_deletable(found.attributes, f"the tag {tag}")
        target = manifests.find(tx, repository.id, found.digest)
        if target is not None and not target.attributes.write_enabled:
            raise Locked(f"the manifest {found.digest} of the tag {tag} is locked (writeEnabled is false)")
        self._drop_tag(tx, registry, repository, tag, found.digest)
        untagged.note(tx, repository.id, found.digest)
        repositories.touch(tx, repository.id)

    def remove_manifest(self, tx: Tx, registry: Registry, name: RepositoryName, digest: Digest) -> None:
        """What `delete_manifest` does, inside a transaction."""
        repository = repositories.find(tx, registry.uid, name, lock=True)
        root = None if repository is None else manifests.find(tx, repository.id, digest)
        if repository is None or root is None:
            raise ManifestUnknown(str(digest))
        check_writable(repository)
        doomed = self.list_with_referrers(tx, repository, root)
        for found in doomed.values():
            _check_deletable(found.attributes, f"the manifest {found.digest}")
            self._check_no_parent(tx, repository, found.digest, set(doomed))
        for found in doomed.values():
            for tag in tags.list_of_digest(tx, repository.id, found.digest):
                _check_deletable(tag.attributes, f"the tag {tag.name}")
                self._drop_tag(tx, registry, repository, tag.name, found.digest)
            self._drop_manifest(tx, registry, repository, found)
        repositories.touch(tx, repository.id)

    def _delete_blob(self, tx: Tx, registry: Registry, name: RepositoryName, digest: Digest) -> None:
        repository = repositories.find(tx, registry.uid, name, lock=True)
        if repository is None or blobs.find_linked_size(tx, registry.uid, repository.id, digest) is None:
            raise BlobUnknown(str(digest))
        check_writable(repository)
        if manifests.is_blob_referenced(tx, repository.id, digest):
            raise Unsupported(f"the blob {digest} is part of a manifest in {name}: delete the manifest first")
        blobs.unlink(tx, repository.id, digest)
        failpoint("delete.after_link_row")
        tx.emit(registry.stream, BlobUnlinked(repository=name, digest=str(digest)))

    def _delete_repository(self, tx: Tx, registry: Registry, name: RepositoryName) -> Deleted:
        repository = repositories.find(tx, registry.uid, name, lock=True)
        if repository is None:
            raise RepositoryUnknown(name)
        _check_deletable(repository.attributes, f"the repository {name}")
        _check_all_deletable(tx, repository)
        images, names = manifests.list_brief(tx, repository.id), tags.list_brief(tx, repository.id)
        for digest, media_type, size in images:
            tx.emit(
                registry.stream,
                ManifestDeleted(repository=repository.name, digest=digest, media_type=media_type, size=size),
            )
        for tag, digest in names:
            tx.emit(registry.stream, TagDeleted(repository=repository.name, tag=tag, previous_digest=digest))
        tags.remove_all(tx, repository.id)
        failpoint("delete.after_all_tags")
        manifests.remove_all(tx, repository.id)
        failpoint("delete.after_all_manifests")
        blobs.unlink_all(tx, repository.id)
        failpoint("delete.after_all_links")
        repositories.remove(tx, repository.id)
        failpoint("delete.after_repository_row")
        tx.emit(registry.stream, RepositoryDeleted(repository=name, manifests=len(images), tags=len(names)))
        return Deleted(manifests=tuple(digest for digest, *_ in images), tags=tuple(tag for tag, _ in names))

    def list_with_referrers(self, tx: Tx, repository: Repository, root: Manifest) -> dict[Digest, Manifest]:
        """The manifest, what refers to it, what refers to that, and so on."""
        doomed = {root.digest: root}
        pending = [root.digest]
        while pending:
            for referrer in manifests.list_referrers(tx, repository.id, pending.pop(), limit=100_000):
                if referrer.digest not in doomed:
                    doomed[referrer.digest] = referrer
                    pending.append(referrer.digest)
        return doomed

    def _check_no_parent(self, tx: Tx, repository: Repository, digest: Digest, doomed: set[Digest]) -> None:
        parents = [parent for parent in manifests.list_parents(tx, repository.id, digest) if parent not in doomed]
        if parents:
            raise Locked(f"the manifest {digest} is listed by the index {parents[0]}: delete the index first")

    def _drop_tag(self, tx: Tx, registry: Registry, repository: Repository, tag: TagName, digest: Digest) -> None:
        tags.remove(tx, repository.id, tag)
        failpoint("delete.after_tag_row")
        tx.emit(registry.stream, _tag_event(repository, tag, digest))

    def _drop_manifest(self, tx: Tx, registry: Registry, repository: Repository, found: Manifest) -> None:
        manifests.remove(tx, repository.id, found.digest)
        failpoint("delete.after_manifest_row")
        tx.emit(registry.stream, manifest_event(repository, found))


def _tag_event(repository: Repository, tag: TagName, digest: Digest) -> TagDeleted:
    return TagDeleted(repository=repository.name, tag=tag, previous_digest=str(digest))


def manifest_event(repository: Repository, found: Manifest) -> ManifestDeleted:
    return ManifestDeleted(
        repository=repository.name, digest=str(found.digest), media_type=found.media_type, size=found.size
    )


def drop_registry(tx: Tx, registry_uid: str) -> None:
    """Every row of a registry that is being deleted, in the transaction that destroys its key.

    Its own deletion is the journaled fact. Pushes under way wait, then find that the registry is gone.
    """
    repositories.lock_registry(tx, registry_uid)
    for repository_id in repositories.lock_all(tx, registry_uid):
        tags.remove_all(tx, repository_id)
        manifests.remove_all(tx, repository_id)
        blobs.unlink_all(tx, repository_id)
        repositories.remove(tx, repository_id)
    blobs.remove_all(tx, registry_uid)
    totals.remove(tx, registry_uid)
    uploads.remove_all(tx, registry_uid)


def _check_all_deletable(tx: Tx, repository: Repository) -> None:
    if (image := manifests.find_locked(tx, repository.id)) is not None:
        _check_deletable(image.attributes, f"the manifest {image.digest}")
    if (tag := tags.find_locked(tx, repository.id)) is not None:
        _check_deletable(tag.attributes, f"the tag {tag.name}")


def _check_deletable(attributes: Attributes, what: str) -> None:
    for name, allowed in (("deleteEnabled", attributes.delete_enabled), ("writeEnabled", attributes.write_enabled)):
        if not allowed:
            raise Locked(f"{what} is locked against deletion ({name} is false)")
