"""Signing keys: one set for the directory, one for registries, RS256, a new key every 90 days.

A key signs for 90 days and verifies for a day longer, which is more than the longest token lives. Private keys are
sealed under the system's data key.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from darsena.core.ids import new_uid
from darsena.db import Database, Tx
from darsena.identity import store
from darsena.storage.keyring import SYSTEM, Keyring

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

Use = Literal["directory", "registry"]
USES: Final[tuple[Use, ...]] = ("directory", "registry")

_DAY_US: Final = 24 * 3600 * 1_000_000
SIGNS_US: Final = 90 * _DAY_US
OVERLAP_US: Final = _DAY_US
_RELOAD_US: Final = 1_000_000
_KIND: Final = "signing-key"


@dataclass(frozen=True, slots=True)
class _Known:
    stored: store.StoredKey
    public: RSAKey


class SigningKeys:
    """Keys in memory, as the table had them. Another process's new key is found when its id first comes by."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring
        self._known: dict[str, _Known] = {}
        self._private: dict[str, RSAKey] = {}
        self._loaded_at_us: int | None = None
        self._loading = threading.Lock()

    def ensure_current(self) -> None:
        """Make a key for each use that has none to sign with; forget keys that are past everything. Blocking."""
        now_us = self._db.clock.now_us()
        stored = self._db.read_sync(store.list_signing_keys)
        missing: list[Use] = [use for use in USES if _find_signer(stored, use, now_us) is None]
        for use in missing:
            self._db.transact_sync(_add_unless_newer, self._generate(use, now_us), now_us)
        if any(key.retire_at <= now_us for key in stored):
            self._db.transact_sync(store.delete_retired_keys)
        if missing and self._known:
            self.load()

    async def get_signer(self, use: Use) -> tuple[str, RSAKey]:
        """The key id and the private key to sign with now; makes a new one when the last has had its time."""
        found = self._find_signer(use)
        if found is None:
            await asyncio.to_thread(self._prepare)
            found = self._find_signer(use)
            assert found is not None
        private = self._private.get(found.kid)
        if private is None:
            private = await asyncio.to_thread(self._unseal, found)
            self._private[found.kid] = private
        return found.kid, private

    def find_public(self, use: Use, kid: str) -> RSAKey | None:
        """None for an id that is unknown, of the other use, or past its time."""
        if kid not in self._known:
            self._reload()
        known = self._known.get(kid)
        now_us = self._db.clock.now_us()
        if known is None or known.stored.use != use or not known.stored.not_before <= now_us < known.stored.retire_at:
            return None
        return known.public

    def list_public(self, use: Use) -> list[dict[str, Any]]:
        """The use's keys as a JWK set has them, the newest first."""
        self._reload()
        now_us = self._db.clock.now_us()
        return [
            {**msgspec.json.decode(known.stored.public), "kid": known.stored.kid, "use": "sig", "alg": "RS256"}
            for known in self._known.values()
            if known.stored.use == use and now_us < known.stored.retire_at
        ]

    def load(self) -> None:
        """Read the table. Blocking; done on first use where nobody did it before."""
        with self._loading:
            self._load()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _find_signer(self, use: Use) -> store.StoredKey | None:
        return _find_signer([known.stored for known in self._known.values()], use, self._db.clock.now_us())

    def _load(self) -> None:
        from joserfc.jwk import RSAKey  # 0.1 s and 13 MB, which start-up would rather not wait for

        begun_us = self._db.clock.now_us()
        self._known = {
            key.kid: _Known(key, RSAKey.import_key(msgspec.json.decode(key.public, type=dict[str, Any])))
            for key in self._db.read_sync(store.list_signing_keys)
        }
        self._private = {kid: private for kid, private in list(self._private.items()) if kid in self._known}
        self._loaded_at_us = begun_us

    def _prepare(self) -> None:
        self.ensure_current()
        self.load()

    def _reload(self) -> None:
        """At most once a second: ids come from tokens, which anybody can make up. What another thread loads right now
        is waited for."""
        with self._loading:
            now_us = self._db.clock.now_us()
            if self._loaded_at_us is None or not 0 <= now_us - self._loaded_at_us < _RELOAD_US:
                self._load()

    def _generate(self, use: Use, now_us: int) -> store.StoredKey:
        from joserfc.jwk import RSAKey

        key, kid = RSAKey.generate_key(2048), new_uid()
        private = msgspec.json.encode(key.as_dict(private=True))
        return store.StoredKey(
            kid=kid,
            use=use,
            public=msgspec.json.encode(key.as_dict(private=False)),
            wrapped_private=self._keyring.seal(SYSTEM, _KIND, kid, private),
            not_before=now_us,
            retire_at=now_us + SIGNS_US + OVERLAP_US,
        )

    def _unseal(self, key: store.StoredKey) -> RSAKey:
        from joserfc.jwk import RSAKey

        private = self._keyring.unseal(SYSTEM, _KIND, key.kid, key.wrapped_private)
        return RSAKey.import_key(msgspec.json.decode(private, type=dict[str, Any]))


def _add_unless_newer(tx: Tx, key: store.StoredKey, now_us: int) -> None:
    """Another process may have been first."""
    if _find_signer(store.list_signing_keys(tx), key.use, now_us) is None:
        store.insert_signing_key(tx, key)


def _find_signer(keys: Iterable[store.StoredKey], use: str, now_us: int) -> store.StoredKey | None:
    for key in keys:
        if key.use == use and key.not_before <= now_us < key.retire_at - OVERLAP_US:
            return key
    return None
