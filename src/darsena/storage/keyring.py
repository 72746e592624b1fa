"""Data keys: made with their owner, wrapped by the key provider, destroyed with their owner.

An owner is `system` or a registry's uid; uids are never used again, so a destroyed owner stays destroyed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import delete, select, update

from darsena.core.errors import ResourceUnknown
from darsena.db import Tx, dialects
from darsena.storage.cipher import DataKey, seal_value, unseal_value
from darsena.storage.tables import data_key

T = TypeVar("T")

SYSTEM = "system"


class KeyProvider(Protocol):
    """Who holds the root key: a local file, later a hardware module or a key vault."""

    @property
    def key_id(self) -> str:
        """The root key that `wrap` uses now."""
        ...

    def wrap(self, secret: bytes, owner: str) -> tuple[bytes, str]:
        """(the wrapped secret, the id of the root key that wrapped it)."""
        ...

    def unwrap(self, wrapped: bytes, wrapped_by: str, owner: str) -> bytes:
        """Raises Unavailable when that root key cannot be had, ContentCorrupt when it does not fit."""
        ...


class ReadSync(Protocol):
    """`Database.read_sync`."""

    def __call__(self, fn: Callable[..., T], /, *args: object) -> T: ...


class Keyring:
    """All data keys, unwrapped on first use and kept. Safe from any thread."""

    def __init__(self, provider: KeyProvider, read: ReadSync) -> None:
        self._provider = provider
        self._read = read
        self._keys: dict[str, DataKey] = {}
        self._destroyed: set[str] = set()

    # --- in a transaction ---------------------------------------------------------------------------------------

    def create(self, tx: Tx, owner: str) -> None:
        """Make the owner's data key unless it has one; usable at once, also in the same transaction."""
        wrapped, wrapped_by = self._provider.wrap(DataKey.generate(), owner)
        values = {"owner": owner, "wrapped": wrapped, "wrapped_by": wrapped_by, "created_at": tx.now_us}
        tx.execute(dialects.insert_ignore(tx.dialect, data_key, values))
        self._keys[owner] = self._unwrap(_find(tx, owner), owner)  # what the table has, whoever wrote it

    def destroy(self, tx: Tx, owner: str) -> None:
        """Remove the key: once committed, nothing that it protects can be read again, by anybody. Idempotent."""
        tx.execute(delete(data_key).where(data_key.c.owner == owner))
        tx.after_commit(lambda: self._forget(owner))

    def rewrap(self, tx: Tx) -> int:
        """Wrap under the provider's present root key every data key that another one wraps; returns how many."""
        rows = tx.execute(select(data_key).where(data_key.c.wrapped_by != self._provider.key_id)).all()
        for row in rows:
            secret = self._provider.unwrap(row.wrapped, row.wrapped_by, row.owner)
            wrapped, wrapped_by = self._provider.wrap(secret, row.owner)
            tx.execute(
                update(data_key).where(data_key.c.owner == row.owner).values(wrapped=wrapped, wrapped_by=wrapped_by)
            )
        return len(rows)

    # --- keys ---------------------------------------------------------------------------------------------------

    def find_loaded(self, owner: str) -> DataKey | None:
        """The key if it needs no look-up."""
        return self._keys.get(owner)

    def key(self, owner: str) -> DataKey:
        """The key; reads the database on first use. Raises ResourceUnknown when it never was or is destroyed."""
        found = self._keys.get(owner)
        if found is not None:
            return found
        row = None if owner in self._destroyed else self._read(_find, owner)
        loaded = self._unwrap(row, owner)
        if owner in self._destroyed:  # while we were reading
            return self._unwrap(None, owner)
        self._keys[owner] = loaded
        return loaded

    async def load(self, owner: str) -> DataKey:
        """`key`, without blocking the event loop."""
        return self._keys.get(owner) or await asyncio.to_thread(self.key, owner)

    # --- small values -------------------------------------------------------------------------------------------

    def seal(self, owner: str, kind: str, id: str, plaintext: bytes) -> bytes:  # noqa: A002
        """Encrypt a value for a database column: it opens only for the same owner, kind and id."""
        return seal_value(self.key(owner), owner, kind, id, plaintext)

    def unseal(self, owner: str, kind: str, id: str, sealed: bytes) -> bytes:  # noqa: A002
        """Raises ContentCorrupt unless `seal` made it for exactly this owner, kind and id."""
        return unseal_value(self.key(owner), owner, kind, id, sealed)

    def sign(self, owner: str, purpose: bytes, message: bytes) -> bytes:
        """32 bytes that only the owner's key gives for this message: see DataKey.sign."""
        return self.key(owner).sign(purpose, message)

    # --- inside -------------------------------------------------------------------------------------------------

    def _unwrap(self, row: tuple[bytes, str] | None, owner: str) -> DataKey:
        if row is None:
            raise ResourceUnknown(f"the key of {owner} is not there: what it protected cannot be read any more")
        return DataKey(self._provider.unwrap(row[0], row[1], owner))

    def _forget(self, owner: str) -> None:
        self._destroyed.add(owner)
        self._keys.pop(owner, None)


def has_keys(tx: Tx) -> bool:
    """Whether any data key was made: from then on the root key is needed."""
    return tx.execute(select(data_key.c.owner).limit(1)).first() is not None


def _find(tx: Tx, owner: str) -> tuple[bytes, str] | None:
    row = tx.execute(select(data_key.c.wrapped, data_key.c.wrapped_by).where(data_key.c.owner == owner)).first()
    return None if row is None else (row.wrapped, row.wrapped_by)
