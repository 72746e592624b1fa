"""What the blob host serves: build sources going up, run logs coming down, each by a signed URL for that one blob.

A registry's blobs lie in the container that is named after its uid; the signature covers container and path, so an
address says nothing about any other registry.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from darsena.core.errors import AccessDenied, RequestTooLarge, ResourceUnknown
from darsena.core.ids import new_guid
from darsena.db import Database, Tx
from darsena.storage.port import ObjectStore
from darsena.tasks import run_store, source_store
from darsena.tasks.errors import SourceClaimed
from darsena.tasks.logs import RunLogs
from darsena.tasks.model import Run, Source
from darsena.tasks.signing import Permissions, UrlSigner

SOURCE_LIMIT_BYTES: Final = 1024 * 1024 * 1024

_CONTAINER = re.compile(r"container-([0-9a-f]{32})\Z")
_LOG = re.compile(r"logs/([a-z0-9]{3,40})/rawtext\.log\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A blob that the bearer of a signed URL may use."""

    registry_uid: str
    path: str
    permissions: Permissions

    @property
    def may_write(self) -> bool:
        return self.permissions == "rw" and self.path.startswith("source/")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobState:
    size: int
    modified_us: int
    created_us: int
    run: Run | None = None
    """Of a log."""
    word: str | None = None
    """Of a log that is complete."""


class BlobService:
    """`base_url` is scheme, host and port of the blob host, without a slash at its end."""

    def __init__(self, db: Database, *, signer: UrlSigner, sources: ObjectStore, logs: RunLogs, base_url: str) -> None:
        self._db = db
        self._signer = signer
        self._sources = sources
        self._logs = logs
        self._base_url = base_url

    # --- making addresses ---------------------------------------------------------------------------------------

    async def create_upload(self, registry_uid: str) -> tuple[str, str]:
        """(URL to put a source to, its relative path): good for an hour, or until a run uses it."""
        now_s = self._db.clock.now_us() // 1_000_000
        name = f"source/{datetime.fromtimestamp(now_s, UTC):%Y%m%d%H%M}/{new_guid()}.tar.gz"
        await self._db.transact(source_store.insert_source, registry_uid, name)
        return await self._make_url(registry_uid, name, "rw"), name

    async def create_log_url(self, run: Run) -> str:
        return await self._make_url(run.registry_uid, run.log_name, "r")

    async def _make_url(self, registry_uid: str, path: str, permissions: Permissions) -> str:
        address = f"/container-{registry_uid}/{path}"
        return f"{self._base_url}{address}?{await self._signer.sign(address, permissions)}"

    async def check(self, container: str, path: str, query: Mapping[str, str]) -> Signed:
        """The blob that this address is signed for. Raises AccessDenied; nothing is looked up before that."""
        permissions = await self._signer.check(f"/{container}/{path}", query)
        match = _CONTAINER.match(container)
        if match is None:
            raise AccessDenied("the signature does not fit this address")
        return Signed(registry_uid=match.group(1), path=path, permissions=permissions)

    # --- reading ------------------------------------------------------------------------------------------------

    async def find(self, signed: Signed) -> BlobState | None:
        """None for what is not there (yet)."""
        log = _LOG.match(signed.path)
        if log is not None:
            return await self._find_log(signed.registry_uid, log.group(1))
        row = await self._db.read(source_store.find_source, signed.registry_uid, signed.path)
        size = await self._sources.stat(signed.registry_uid, signed.path) if row and row.written_at_us else None
        if row is None or row.written_at_us is None or size is None:
            return None
        return BlobState(size=size, modified_us=row.written_at_us, created_us=row.created_at_us)

    async def _find_log(self, registry_uid: str, run_id: str) -> BlobState | None:
        run = await self._db.read(run_store.find_run, registry_uid, run_id)
        if run is None:
            return None
        state = await self._logs.state(run)
        modified_us = run.finished_at_us or (self._db.clock.now_us() if state.size else run.created_at_us)
        return BlobState(
            size=state.size, modified_us=modified_us, created_us=run.created_at_us, run=run, word=state.word
        )

    def read(self, signed: Signed, state: BlobState, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes [start, stop) of what `find` found."""
        if state.run is not None:
            return self._logs.read(state.run, start, stop)
        return self._sources.read(signed.registry_uid, signed.path, start, stop)

    # --- writing ------------------------------------------------------------------------------------------------

    async def put(self, signed: Signed, chunks: AsyncIterator[bytes]) -> Source:
        """Create or replace the source, whole or not at all. Raises SourceClaimed, RequestTooLarge."""
        await self._get_open(signed)
        await self._sources.put(signed.registry_uid, signed.path, self._guard(signed, chunks, SOURCE_LIMIT_BYTES))
        return await self._set_written(signed)

    async def stage_block(self, signed: Signed, block_id: str, chunks: AsyncIterator[bytes]) -> None:
        """All blocks together stay below twice the limit, so that some may be sent again."""
        row = await self._get_open(signed)
        left = 2 * SOURCE_LIMIT_BYTES - row.staged_bytes
        guarded = self._guard(signed, chunks, min(left, SOURCE_LIMIT_BYTES))
        size = await self._sources.stage_block(signed.registry_uid, signed.path, block_id, guarded)
        await self._db.transact(source_store.add_staged, signed.registry_uid, signed.path, size)

    async def commit_blocks(self, signed: Signed, block_ids: list[str]) -> Source:
        """Raises UploadInvalid for a block that was not staged."""
        await self._get_open(signed)
        size = await self._sources.commit_blocks(signed.registry_uid, signed.path, block_ids)
        if size > SOURCE_LIMIT_BYTES:
            await self._sources.delete(signed.registry_uid, signed.path)
            raise RequestTooLarge("the source", SOURCE_LIMIT_BYTES)
        return await self._set_written(signed)

    async def _get_open(self, signed: Signed) -> Source:
        return await self._db.read(_get_open, signed)

    async def _set_written(self, signed: Signed) -> Source:
        row = await self._db.transact(source_store.set_written, signed.registry_uid, signed.path)
        if row is None:
            raise SourceClaimed(signed.path)
        return row

    async def _guard(self, signed: Signed, chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
        """Stops beyond the limit, and at the end when a run has claimed the source meanwhile."""
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise RequestTooLarge("the source", SOURCE_LIMIT_BYTES)
            yield chunk
        await self._get_open(signed)


def _get_open(tx: Tx, signed: Signed) -> Source:
    row = source_store.find_source(tx, signed.registry_uid, signed.path)
    if row is None:
        raise ResourceUnknown("the registry that this address was made for is gone")
    if row.is_claimed:
        raise SourceClaimed(signed.path)
    return row
