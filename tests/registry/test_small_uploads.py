"""An upload has a row and a file from its first kept byte on; what fits into one segment never has them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from darsena.core.digest import Digest
from darsena.core.errors import (
    DigestMismatch,
    Locked,
    RangeNotSatisfiable,
    StorageFull,
    Unavailable,
    UploadUnknown,
)
from darsena.core.names import RepositoryName
from darsena.db import Tx
from darsena.registry.model import Registry
from darsena.registry.open_uploads import UPLOAD_LIFETIME_US
from darsena.registry.store import repositories
from darsena.registry.tables import upload
from darsena.storage import disk
from darsena.storage.port import WHOLE_BYTES
from registry.conftest import APP, ME, REGISTRY, UID, Rooms, chunks, open_rooms

SMALL = b"a small layer"


def count_rows(tx: Tx) -> int:
    return tx.execute(select(func.count()).select_from(upload)).scalar_one()


async def stored(rooms: Rooms) -> tuple[int, int]:
    """(rows, files) of open uploads."""
    files = [found async for found in rooms.storage.uploads.list(UID)]
    return rooms.db.read_sync(count_rows), len(files)


async def begin(rooms: Rooms) -> str:
    return await rooms.service.uploading.begin(REGISTRY, APP, ME)


async def finish(rooms: Rooms, uid: str, content: bytes | None, expected: bytes, step: int = 100_000) -> int:
    parts = None if content is None else chunks(*(content[at : at + step] for at in range(0, len(content), step)))
    return await rooms.service.uploading.finish(REGISTRY, APP, uid, ME, parts, Digest.of(expected))


@pytest.mark.parametrize("size", [0, 1, WHOLE_BYTES - 1, WHOLE_BYTES])
async def test_what_fits_is_put_without_a_trace(rooms: Rooms, size: int) -> None:
    content = bytes(size)
    uid = await begin(rooms)
    assert await stored(rooms) == (0, 0)
    assert await finish(rooms, uid, content, content) == size
    assert await stored(rooms) == (0, 0)
    assert await rooms.storage.blobs.read_whole(UID, Digest.of(content), WHOLE_BYTES) == content
    with pytest.raises(UploadUnknown):
        await finish(rooms, uid, content, content)


async def test_a_full_disk_is_left_no_empty_uploads(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may try again and again, each time with a new upload."""

    def refuse(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    uid = await begin(rooms)
    with monkeypatch.context() as full:
        full.setattr(disk, "keep_reserve", refuse)
        for _ in range(2):
            with pytest.raises(StorageFull):
                await rooms.service.uploading.append(REGISTRY, APP, uid, ME, chunks(SMALL))
    assert await stored(rooms) == (0, 0)
    assert await rooms.service.uploading.append(REGISTRY, APP, uid, ME, chunks(SMALL)) == len(SMALL)


@pytest.mark.parametrize("size", [WHOLE_BYTES + 1, 3 * WHOLE_BYTES])
async def test_what_does_not_fit_is_an_upload_while_it_lasts(rooms: Rooms, size: int) -> None:
    content = bytes(size)
    seen: list[tuple[int, int]] = []

    async def body() -> AsyncIterator[bytes]:
        yield content[:WHOLE_BYTES]
        yield content[WHOLE_BYTES : WHOLE_BYTES + 1]
        seen.append(await stored(rooms))
        yield content[WHOLE_BYTES + 1 :]

    uid = await begin(rooms)
    assert await rooms.service.uploading.finish(REGISTRY, APP, uid, ME, body(), Digest.of(content)) == size
    assert seen == [(1, 1)]
    assert await stored(rooms) == (0, 0)


async def test_a_wrong_digest_keeps_the_bytes(rooms: Rooms) -> None:
    uid = await begin(rooms)
    with pytest.raises(DigestMismatch):
        await finish(rooms, uid, SMALL, b"something else")
    assert await rooms.service.uploading.offset(REGISTRY, APP, uid, ME) == len(SMALL)
    assert await finish(rooms, uid, None, SMALL) == len(SMALL)
    assert await stored(rooms) == (0, 0)


class Cut(Exception):
    """The client went away."""


@pytest.mark.parametrize("failure", [Cut, asyncio.CancelledError])
async def test_what_came_before_the_connection_broke_is_kept(rooms: Rooms, failure: type[BaseException]) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield SMALL[:4]
        raise failure

    uid = await begin(rooms)
    with pytest.raises(failure):
        await rooms.service.uploading.finish(REGISTRY, APP, uid, ME, broken(), Digest.of(SMALL))
    assert await rooms.service.uploading.offset(REGISTRY, APP, uid, ME) == 4
    assert await finish(rooms, uid, SMALL[4:], SMALL) == len(SMALL)


async def test_an_empty_upload_outlives_the_process(rooms: Rooms, tmp_path: Path) -> None:
    """Its id proves itself: no row was needed for that."""
    uid = await begin(rooms)
    again = open_rooms(rooms.db, tmp_path / "data")
    uploading = again.service.uploading
    assert await uploading.offset(REGISTRY, APP, uid, ME) == 0
    with pytest.raises(RangeNotSatisfiable):
        await uploading.append(REGISTRY, APP, uid, ME, chunks(b"x"), at=1)
    assert await uploading.append(REGISTRY, APP, uid, ME, chunks(SMALL)) == len(SMALL)
    assert await finish(again, uid, None, SMALL) == len(SMALL)
    await again.storage.close()


@pytest.mark.parametrize(
    ("registry", "repository", "principal"),
    [
        (Registry(uid="f" * 32, stream="registry:other@local"), APP, ME),
        (REGISTRY, RepositoryName("team/other"), ME),
        (REGISTRY, APP, "user:other"),
    ],
)
async def test_it_is_nobody_elses(rooms: Rooms, registry: Registry, repository: RepositoryName, principal: str) -> None:
    uid = await begin(rooms)
    rooms.db.transact_sync(rooms.keyring.create, registry.uid)
    for name in (uid, uid[:-1] + ("0" if uid[-1] != "0" else "1"), "0" * 32, "nothing like it", ""):
        with pytest.raises(UploadUnknown):
            await rooms.service.uploading.offset(registry, repository, name, principal)


async def test_it_has_one_spelling(rooms: Rooms) -> None:
    """It is a key in memory and a file's name: another spelling would be another upload."""
    uid = await begin(rooms)
    uid = uid if uid.upper() != uid else await begin(rooms)
    for name in (uid.upper(), f"{uid} ", f"{uid[:2]}\n{uid[2:]}", uid + " " * 300):
        with pytest.raises(UploadUnknown):
            await rooms.service.uploading.append(REGISTRY, APP, name, ME, chunks(SMALL))
    assert await stored(rooms) == (0, 0)


async def test_its_time_ends(rooms: Rooms) -> None:
    uid = await begin(rooms)
    rooms.db.clock.advance(UPLOAD_LIFETIME_US / 1_000_000 + 1)  # type: ignore[attr-defined]
    with pytest.raises(UploadUnknown):
        await rooms.service.uploading.offset(REGISTRY, APP, uid, ME)


async def test_cancelled_it_is_unknown(rooms: Rooms) -> None:
    uid = await begin(rooms)
    await rooms.service.uploading.cancel(REGISTRY, APP, uid, ME)
    with pytest.raises(UploadUnknown):
        await rooms.service.uploading.append(REGISTRY, APP, uid, ME, chunks(SMALL))
    assert await stored(rooms) == (0, 0)


def set_write_enabled(tx: Tx, value: bool) -> None:
    found = repositories.find(tx, UID, APP)
    assert found is not None
    repositories.set_attributes(tx, found.id, {"write_enabled": value})
    tx.journaled_writes.clear()  # no use case: the lock alone is what the test is about


async def test_a_locked_repository_takes_none(rooms: Rooms) -> None:
    await rooms.push_blob(b"first")
    uid = await begin(rooms)

    rooms.db.transact_sync(set_write_enabled, False)
    for content in (SMALL, bytes(WHOLE_BYTES + 1)):
        with pytest.raises(Locked):
            await finish(rooms, uid, content, content)
    with pytest.raises(Locked):
        await begin(rooms)
    rooms.db.transact_sync(set_write_enabled, True)
    assert await finish(rooms, uid, SMALL, SMALL) == len(SMALL)


async def test_a_disk_that_fails_leaves_it_as_it_was(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = await begin(rooms)
    monkeypatch.setenv("DARSENA_FAILPOINT", "begin.before_header:raise")
    with pytest.raises(Unavailable):
        await rooms.service.uploading.append(REGISTRY, APP, uid, ME, chunks(SMALL))
    monkeypatch.delenv("DARSENA_FAILPOINT")
    assert await stored(rooms) == (0, 0)
    assert await rooms.service.uploading.append(REGISTRY, APP, uid, ME, chunks(SMALL)) == len(SMALL)
