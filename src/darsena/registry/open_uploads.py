"""Which uploads are open, and of which of them bytes are stored: those have a row and a file, the others only an id."""

from __future__ import annotations

from contextlib import suppress

from darsena.core.errors import Problem, UploadUnknown
from darsena.core.failpoints import failpoint
from darsena.core.names import RepositoryName
from darsena.db import Database, Tx
from darsena.registry.model import Registry
from darsena.registry.repository import check_writable
from darsena.registry.store import repositories, uploads
from darsena.registry.upload_ids import UploadIds
from darsena.storage.keyring import Keyring
from darsena.storage.port import UploadStore

UPLOAD_LIFETIME_US = 7 * 86_400 * 1_000_000
"""An upload that is not continued for a week is removed."""


class OpenUploads:
    """An upload belongs to its registry, repository and principal; to others it does not exist."""

    def __init__(self, db: Database, store: UploadStore, keyring: Keyring) -> None:
        self._db = db
        self._store = store
        self._ids = UploadIds(keyring, db.clock, UPLOAD_LIFETIME_US)

    async def begin(self, registry: Registry, repository: RepositoryName, principal: str) -> str:
        """A new id, and nothing else. Raises Locked when the repository takes no pushes."""
        check_writable(await self._db.look_up(repositories.find, registry.uid, repository))
        return await self._ids.make(registry.uid, repository, principal)

    async def is_stored(self, registry: Registry, repository: RepositoryName, uid: str, principal: str) -> bool:
        """False while no byte has come. Raises UploadUnknown."""
        if not self._ids.is_new(uid) and await self._db.look_up(
            uploads.is_open, uid, registry.uid, repository, principal
        ):
            return True
        if await self._ids.admits(uid, registry.uid, repository, principal):
            return False
        raise UploadUnknown(uid)

    async def store(self, registry: Registry, repository: RepositoryName, uid: str, principal: str) -> None:
        """Give it a row and a file, in this order. Raises Locked."""

        def write(tx: Tx) -> None:
            check_writable(repositories.find(tx, registry.uid, repository))
            uploads.insert_new(tx, uid, registry.uid, repository, principal, UPLOAD_LIFETIME_US)

        self._ids.fill(uid)
        await self._db.transact(write)
        failpoint("upload.after_row")
        try:
            await self._store.begin(registry.uid, uid)
        except Problem:
            with suppress(Problem):  # it is empty as before, and may be tried again
                await self._db.transact(uploads.remove, uid)
            raise
        failpoint("upload.after_begin")

    def end(self, uid: str) -> None:
        """It was finished or cancelled: unknown from now on."""
        self._ids.end(uid)
