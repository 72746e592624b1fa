"""What a service principal signs in with: secrets, certificates, and where its sign-ins may be answered.

Each method is one step of a transaction, told to the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from darsena.core.errors import Conflict, RequestInvalid
from darsena.core.ids import new_secret, new_uid
from darsena.db import Tx
from darsena.identity import directory_store, store
from darsena.identity.certificates import parse_certificate
from darsena.identity.clients import parse_redirect
from darsena.identity.directory_store import StoredCertificate
from darsena.identity.events import CertificateAdded, CertificateRemoved, CredentialReset, RedirectUrisChanged
from darsena.identity.hashing import SecretHasher
from darsena.identity.model import Principal
from darsena.journal import EventBody

MAX_CERTIFICATES: Final = 20
MAX_REDIRECT_URIS: Final = 50
MAX_SECRET_YEARS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """The only time that the value is seen."""

    uid: str
    slot: str
    value: str = field(repr=False)
    created_at: int
    expires_at: int | None


class PrincipalKeys:
    """`tell` puts an event into the journal."""

    def __init__(self, hasher: SecretHasher, tell: Callable[[Tx, EventBody], None]) -> None:
        self._hasher = hasher
        self._tell = tell

    def put_secret(self, tx: Tx, principal: Principal, slot: str, lifetime_s: int | None) -> NewSecret:
        value, uid = new_secret(), new_uid()
        if lifetime_s is not None and not 0 < lifetime_s <= MAX_SECRET_YEARS * 366 * 24 * 3600:
            raise RequestInvalid(
                f"a secret lives longer than nothing and up to {MAX_SECRET_YEARS} years", "endDateTime"
            )
        until = None if lifetime_s is None else tx.now_us + lifetime_s * 1_000_000
        hashed = self._hasher.hash(value)
        store.put_credential(tx, principal.id, slot, uid=uid, hash_=hashed, expires_at=until)
        self._tell(tx, CredentialReset(object_id=principal.object_id, slot=slot, expires_at=until))
        return NewSecret(uid=uid, slot=slot, value=value, created_at=tx.now_us, expires_at=until)

    def add_certificate(self, tx: Tx, principal: Principal, text: str) -> StoredCertificate:
        value = parse_certificate(text, tx.now_us)
        there = directory_store.list_certificates(tx, principal.id)
        for stored in there:
            if stored.sha256 == value.sha256:
                return stored
        if len(there) >= MAX_CERTIFICATES:
            raise Conflict(f"a service principal has at most {MAX_CERTIFICATES} certificates: remove one first")
        uid = new_uid()
        directory_store.add_certificate(tx, principal.id, uid, value)
        event = CertificateAdded(object_id=principal.object_id, thumbprint=value.sha1, expires_at=value.expires_at)
        self._tell(tx, event)
        return next(row for row in directory_store.list_certificates(tx, principal.id) if row.uid == uid)

    def remove_certificate(self, tx: Tx, principal: Principal, stored: StoredCertificate) -> None:
        directory_store.delete_certificate(tx, principal.id, stored.uid)
        self._tell(tx, CertificateRemoved(object_id=principal.object_id, thumbprint=stored.sha1))

    def put_redirect_uris(self, tx: Tx, principal: Principal, uris: Sequence[str]) -> None:
        wanted = sorted({parse_redirect(uri) for uri in uris})
        if len(wanted) > MAX_REDIRECT_URIS:
            raise RequestInvalid(f"a service principal has at most {MAX_REDIRECT_URIS} redirect URIs", "redirectUris")
        if wanted != directory_store.list_redirect_uris(tx, principal.id):
            directory_store.replace_redirect_uris(tx, principal.id, wanted)
            self._tell(tx, RedirectUrisChanged(object_id=principal.object_id, redirect_uris=wanted))
