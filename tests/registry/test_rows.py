"""What is in the tables: nothing readable of what customers sent, nothing of a registry that was dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from darsena.core.digest import Digest
from darsena.core.errors import ContentCorrupt, ResourceUnknown
from darsena.core.names import RepositoryName, TagName
from darsena.db import Tx
from darsena.registry.deleting import drop_registry
from darsena.registry.events import RepositoryDeleted
from darsena.registry.tables import blob, manifest, manifest_reference, repository, repository_blob, tag, upload

from .conftest import APP, ME, REGISTRY, UID, Rooms, chunks

MARK = b"this-text-is-nobody-elses-business"


async def plant(rooms: Rooms) -> Digest:
    """The mark in a config, a layer, annotations, quarantine details and an upload in progress."""
    digest = await rooms.push_image("v1", b"{%s}" % MARK, MARK * 40_000, annotations={"a": MARK.decode()})
    await rooms.service.catalog.set_manifest_attributes(REGISTRY, APP, digest, {}, quarantine_details=MARK.decode())
    uid = await rooms.service.uploading.begin(REGISTRY, APP, ME)
    await rooms.service.uploading.append(REGISTRY, APP, uid, ME, chunks(MARK * 3))
    return digest


def list_files_with_mark(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and MARK in path.read_bytes()]


async def test_nothing_is_stored_in_plaintext(rooms: Rooms, tmp_path: Path) -> None:
    """Every file below the data folder, the database and its write-ahead log; on PostgreSQL every column."""
    await plant(rooms)
    assert list_files_with_mark(tmp_path) == []
    if not rooms.db.is_sqlite:
        for table in (manifest, blob, upload, repository, tag):
            rows = rooms.db.read_sync(lambda tx, table=table: [tuple(row) for row in tx.execute(table.select())])
            assert rows
            assert MARK not in repr(rows).encode()


async def test_a_manifest_moved_to_another_row_is_not_served(rooms: Rooms) -> None:
    """The sealed bytes open only as what they were sealed for: who may write to the database cannot swap images."""
    digest, other = await plant(rooms), await rooms.push_image("v2", b"config", b"layer")

    def swap(tx: Tx) -> None:
        sealed = tx.execute(manifest.select().where(manifest.c.digest == other.stored)).one().sealed
        tx.connection.execute(manifest.update().where(manifest.c.digest == digest.stored).values(sealed=sealed))

    rooms.db.transact_sync(swap)
    with pytest.raises(ContentCorrupt):
        await rooms.service.manifests.get(REGISTRY, APP, TagName("v1"))


async def test_dropping_a_registry(rooms: Rooms) -> None:
    await plant(rooms)

    def drop(tx: Tx) -> None:
        drop_registry(tx, UID)
        rooms.keyring.destroy(tx, UID)
        tx.emit(REGISTRY.stream, RepositoryDeleted(repository=APP, manifests=1, tags=1))

    await rooms.db.transact(drop)
    for table in (repository, manifest, manifest_reference, tag, blob, repository_blob, upload):
        assert rooms.db.read_sync(lambda tx, table=table: tx.execute(table.select()).all()) == []
    with pytest.raises(ResourceUnknown):
        await rooms.push_blob(b"late", RepositoryName("late"))


async def test_the_table_of_references_follows_the_manifests(rooms: Rooms) -> None:
    """A deleted manifest holds nothing any more."""
    digest = await rooms.push_image("v1", b"config", b"layer", b"another")
    count = lambda tx: len(tx.execute(manifest_reference.select()).all())  # noqa: E731
    assert rooms.db.read_sync(count) == 3
    await rooms.service.deleting.delete_manifest(REGISTRY, APP, digest)
    assert rooms.db.read_sync(count) == 0
