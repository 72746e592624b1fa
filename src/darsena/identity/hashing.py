"""How secrets are kept. Generated ones, of at least 160 bits, as keyed SHA-256; what a person chose as argon2id.

The key of the keyed hash is itself sealed under the system's data key, so a stolen table alone confirms no guess.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from darsena.core.errors import Throttled
from darsena.db import Database
from darsena.identity import store
from darsena.storage.keyring import SYSTEM, Keyring

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_KEYED = "hmac-sha256:"
_NAME = "credential"
_KIND = "hash-key"
MOST_WAITING: Final = 64
"""Checks of passwords that are under way or wait: about four seconds of work."""


class SecretHasher:
    """Of generated secrets. The key is made by `ensure_key` and read on first use."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring
        self._key: bytes | None = None

    def ensure_key(self) -> None:
        """Make the key if there is none. Blocking; the system's data key must exist."""
        if self._db.read_sync(store.find_hash_key, _NAME) is None:
            sealed = self._keyring.seal(SYSTEM, _KIND, _NAME, os.urandom(32))
            self._db.transact_sync(store.add_hash_key, _NAME, sealed)

    def hash(self, secret: str) -> str:
        return _KEYED + hmac.new(self._load_key(), secret.encode(), hashlib.sha256).hexdigest()

    def derive(self, purpose: str, text: str) -> str:
        """A keyed hash that is good for this purpose only, in hexadecimal."""
        return hmac.new(self._load_key(), f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()

    def matches(self, stored: str, secret: str) -> bool:
        """In constant time. False for the hash of a person's password."""
        return hmac.compare_digest(stored.encode(), self.hash(secret).encode())

    def _load_key(self) -> bytes:
        if self._key is None:
            sealed = self._db.read_sync(store.find_hash_key, _NAME)
            assert sealed is not None, "ensure_key was not called"
            self._key = self._keyring.unseal(SYSTEM, _KIND, _NAME, sealed)
        return self._key


class PersonPasswords:
    """Of passwords that people choose. Each hash costs 64 MiB and 0.1 s of a core, so at most two at a time; both
    raise Throttled when too many wait for their turn."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(2)
        self._waiting = 0
        self._argon2: PasswordHasher | None = None

    async def hash(self, password: str) -> str:
        async with self._turn():
            return await asyncio.to_thread(self._hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """False, after the same work, where there is nothing stored."""
        async with self._turn():
            return await asyncio.to_thread(self._matches, stored, password)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        if self._waiting >= MOST_WAITING:
            raise Throttled("too many people sign in at once; try again in a few seconds", 5)
        self._waiting += 1
        try:
            async with self._slots:
                yield
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        return self._hasher().hash(password)

    def _matches(self, stored: str | None, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            if stored is None:
                self._hasher().hash(password)
                return False
            return self._hasher().verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _hasher(self) -> PasswordHasher:
        if self._argon2 is None:
            from argon2 import PasswordHasher  # most servers never check a person's password

            self._argon2 = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
        return self._argon2
