"""Signed URLs of the blob host: one path, what may be done there, until when.

An HMAC over all of that under a key that only this server has. The query's names are those of Azure's shared access
signatures, because storage clients drop every other; the key's id stands in `si`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, Protocol
from urllib.parse import urlencode

from darsena.core.errors import AccessDenied
from darsena.core.ids import new_uid
from darsena.db import Database, Tx
from darsena.tasks import key_store

Permissions = Literal["r", "rw"]

LIFETIME_S: Final = 3600
_KEY_LIFETIME_US = 90 * 24 * 3600 * 1_000_000
_OVERLAP_US = 2 * LIFETIME_S * 1_000_000
_VERSION = "2023-11-03"
SIGNED_NAMES: Final = ("sv", "spr", "se", "sr", "sp", "si", "sig")
"""Of the query: what is signed, and the signature."""
_OWNER, _KIND = "system", "url-key"


class Sealer(Protocol):
    """The keyring, as far as it concerns small secrets."""

    def seal(self, owner: str, kind: str, id: str, plaintext: bytes) -> bytes: ...  # noqa: A002
    def unseal(self, owner: str, kind: str, id: str, sealed: bytes) -> bytes: ...  # noqa: A002


class UrlSigner:
    """Keys are made when they are first needed, and anew after ninety days; an old one lives as long as its URLs."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        self._keys: dict[str, bytes] = {}
        self._newest: tuple[str, int] | None = None

    async def sign(self, path: str, permissions: Permissions) -> str:
        """The query for `path`, good for an hour."""
        kid, key = await self._get_newest()
        expires_s = self._db.clock.now_us() // 1_000_000 + LIFETIME_S
        facts = {
            "sv": _VERSION,
            "spr": "https",
            "se": f"{datetime.fromtimestamp(expires_s, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "sr": "b",
            "sp": permissions,
            "si": kid,
        }
        return urlencode({**facts, "sig": _mac(key, path, facts)})

    async def check(self, path: str, query: Mapping[str, str]) -> Permissions:
        """What the signature lets its bearer do at `path` now. Raises AccessDenied for every other query."""
        facts = {name: query.get(name, "") for name in SIGNED_NAMES if name != "sig"}
        key = await self._find(facts["si"])
        expected = _mac(key or bytes(32), path, facts)
        if not hmac.compare_digest(expected.encode(), query.get("sig", "").encode()) or key is None:
            raise AccessDenied("the signature does not fit this address")
        if self._db.clock.now_us() >= _parse_expiry(facts["se"]):
            raise AccessDenied(f"the signed address was good until {facts['se']}; ask for a new one")
        return "rw" if facts["sp"] == "rw" else "r"

    async def _get_newest(self) -> tuple[str, bytes]:
        now_us = self._db.clock.now_us()
        if self._newest is None or now_us - self._newest[1] > _KEY_LIFETIME_US:
            kid, sealed, created_us = await self._db.transact(self._ensure_newest)
            self._keys[kid] = self._sealer.unseal(_OWNER, _KIND, kid, sealed)
            self._newest = kid, created_us
        kid = self._newest[0]
        return kid, self._keys[kid]

    def _ensure_newest(self, tx: Tx) -> tuple[str, bytes, int]:
        newest = key_store.find_newest(tx)
        if newest is not None and tx.now_us - newest[2] <= _KEY_LIFETIME_US:
            return newest
        kid = new_uid()
        sealed = self._sealer.seal(_OWNER, _KIND, kid, secrets.token_bytes(32))
        key_store.delete_keys(tx, tx.now_us - _KEY_LIFETIME_US - _OVERLAP_US)
        key_store.insert_key(tx, kid, sealed)
        return kid, sealed, tx.now_us

    async def _find(self, kid: str) -> bytes | None:
        """A key of another process is read from the database."""
        if kid not in self._keys:
            if len(kid) != 32:
                return None
            sealed = await self._db.read(key_store.find_key, kid)
            if sealed is None:
                return None
            self._keys[kid] = self._sealer.unseal(_OWNER, _KIND, kid, sealed)
        return self._keys[kid]


def _mac(key: bytes, path: str, facts: Mapping[str, str]) -> str:
    """Without characters that a client could quote in another way."""
    text = "\n".join(("darsena-signed-url-1", path, *(f"{name}={facts[name]}" for name in sorted(facts))))
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode().rstrip("=")


def _parse_expiry(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1_000_000)
