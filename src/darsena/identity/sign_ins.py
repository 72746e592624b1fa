"""How a person's sign-in goes on: authorization codes, device codes, and the refresh tokens that both end in.

A refresh token names its family, its generation and a keyed hash over both, so nothing of it is stored. Each use makes
the next generation. The one before is still taken for a minute (two processes share a cache, an answer is lost); any
older one is a stolen copy, and ends the family. A family ends with the password, the principal or its version.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from darsena.core.errors import Throttled
from darsena.core.ids import new_secret, new_uid
from darsena.db import Database, Tx
from darsena.identity import sign_in_store, store
from darsena.identity.hashing import SecretHasher
from darsena.identity.model import Identity
from darsena.identity.refusals import Reason, SignInRefused
from darsena.identity.sign_in_store import APPROVED, DECLINED, PENDING, Root, StoredCode, StoredDevice, StoredSignIn

REFRESH_S: Final = 90 * 24 * 3600
CODE_S: Final = 300
DEVICE_S: Final = 900
INTERVAL_S: Final = 5
GRACE_US: Final = 60 * 1_000_000
KEPT_SIGN_INS: Final = 1000
MAX_DEVICES: Final = 10_000
_SOONEST_US: Final = (INTERVAL_S - 1) * 1_000_000
_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words, and nothing that looks like another (RFC 8628, 6.1)
_REFRESH: Final = re.compile(r"1\.([0-9a-f]{32})\.([1-9][0-9]{0,8})\.([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    identity: Identity
    scope: str
    refresh_token: str = field(repr=False)
    nonce: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStart:
    device_code: str = field(repr=False)
    user_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRequest:
    """What a person was asked for, when they signed in for a client."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str | None = None
    nonce: str | None = None


_Outcome = SignedIn | Reason
"""A refusal that has left something in the database must not roll it back."""


class SignIns:
    """All raise SignInRefused."""

    def __init__(self, db: Database, hasher: SecretHasher, tenant_id: str) -> None:
        self._db = db
        self._hasher = hasher
        self._tenant_id = tenant_id

    async def start(self, identity: Identity, client_id: str, scope: str) -> SignedIn:
        """A family of refresh tokens for a person whose password was just checked."""

        def begin(tx: Tx) -> SignedIn:
            return self._begin(tx, identity, client_id, scope)[0]

        return await self._db.transact(begin)

    async def refresh(self, token: str, client_id: str) -> SignedIn:
        """The token that was given, or the next one, with the identity as it is now."""
        match = _REFRESH.match(token)
        if match is None or not hmac.compare_digest(match[3], self._mac(match[1], int(match[2]))):
            raise SignInRefused("grant_invalid", "the refresh token is not one of this directory")
        uid, generation = match[1], int(match[2])
        return _unwrap(await self._db.transact(self._refresh, uid, generation, client_id))

    # --- authorization codes ----------------------------------------------------------------------------------------

    async def create_code(self, identity: Identity, request: CodeRequest) -> str:
        """Good once, for five minutes."""
        code = new_secret()

        def insert(tx: Tx) -> None:
            value = StoredCode(
                root=_root_of(identity),
                client_id=request.client_id,
                redirect_uri=request.redirect_uri,
                scope=request.scope,
                challenge=request.challenge,
                nonce=request.nonce,
                sign_in_uid=None,
                expires_at=tx.now_us + CODE_S * 1_000_000,
            )
            sign_in_store.insert_code(tx, self._hasher.hash(code), value)

        await self._db.transact(insert)
        return code

    async def redeem_code(self, code: str, client_id: str, redirect_uri: str | None, verifier: str | None) -> SignedIn:
        """A code that comes a second time ends what it was first redeemed for (RFC 6749, section 4.1.2)."""
        hashed = self._hasher.hash(code)
        return _unwrap(await self._db.transact(self._redeem, hashed, client_id, redirect_uri, verifier))

    def _redeem(self, tx: Tx, hashed: str, client_id: str, redirect_uri: str | None, verifier: str | None) -> _Outcome:
        stored = sign_in_store.find_code(tx, hashed)
        if stored is None or stored.client_id != client_id:
            return "grant_invalid"
        if stored.sign_in_uid is not None:
            sign_in_store.delete_sign_in(tx, stored.sign_in_uid)
            return "code_used"
        if stored.expires_at <= tx.now_us:
            return "grant_expired"
        if redirect_uri != stored.redirect_uri:
            return "redirect_mismatch"
        if not _proves(stored.challenge, verifier):
            return "verifier_wrong"
        identity = self._find_identity(tx, stored.root)
        if identity is None:
            return "grant_revoked"
        signed_in, uid = self._begin(tx, identity, client_id, stored.scope, stored.nonce)
        sign_in_store.mark_code_used(tx, hashed, uid)
        return signed_in

    # --- device codes -----------------------------------------------------------------------------------------------

    async def start_device(self, client_id: str, scope: str) -> DeviceStart:
        """Raises Throttled while too many codes wait for their people."""
        code = new_secret()
        return DeviceStart(
            device_code=code, user_code=await self._db.transact(self._start_device, code, client_id, scope)
        )

    def _start_device(self, tx: Tx, code: str, client_id: str, scope: str) -> str:
        if sign_in_store.count_devices(tx) >= MAX_DEVICES:
            sign_in_store.delete_expired(tx)
            if sign_in_store.count_devices(tx) >= MAX_DEVICES:
                raise Throttled("too many device codes wait to be used; try again in a minute", 60)
        while True:
            value = StoredDevice(
                user_code="".join(secrets.choice(_ALPHABET) for _ in range(8)),
                client_id=client_id,
                scope=scope,
                status=PENDING,
                root=None,
                polled_at=None,
                expires_at=tx.now_us + DEVICE_S * 1_000_000,
            )
            if sign_in_store.insert_device(tx, self._hasher.hash(code), value):
                return value.user_code

    async def poll_device(self, code: str, client_id: str) -> SignedIn:
        return _unwrap(await self._db.transact(self._poll, self._hasher.hash(code), client_id))

    def _poll(self, tx: Tx, hashed: str, client_id: str) -> _Outcome:
        stored = sign_in_store.find_device(tx, hashed)
        if stored is None or stored.client_id != client_id:
            return "device_code_unknown"
        if stored.expires_at <= tx.now_us:
            return "device_code_expired"
        if stored.status == PENDING:
            is_hasty = stored.polled_at is not None and tx.now_us - stored.polled_at < _SOONEST_US
            sign_in_store.touch_device(tx, hashed)
            return "slow_down" if is_hasty else "pending"
        sign_in_store.delete_device(tx, hashed)
        if stored.status == DECLINED or stored.root is None:
            return "declined"
        identity = self._find_identity(tx, stored.root)
        return "grant_revoked" if identity is None else self._begin(tx, identity, client_id, stored.scope)[0]

    async def find_device(self, user_code: str) -> StoredDevice | None:
        """One that waits for its person."""
        return _waiting(await self._db.read(sign_in_store.read_device_by_user_code, user_code), self._db)

    async def decide_device(self, user_code: str, identity: Identity | None) -> bool:
        """Approve as this person; None declines. False when the code does not wait (any more)."""

        def decide(tx: Tx) -> bool:
            if _waiting(sign_in_store.find_device_by_user_code(tx, user_code), self._db) is None:
                return False
            root = None if identity is None else _root_of(identity)
            sign_in_store.decide_device(tx, user_code, DECLINED if root is None else APPROVED, root)
            return True

        return await self._db.transact(decide)

    def sweep(self, tx: Tx) -> int:
        """Remove what has expired; returns how many."""
        return sign_in_store.delete_expired(tx)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _refresh(self, tx: Tx, uid: str, generation: int, client_id: str) -> _Outcome:
        stored = sign_in_store.find_sign_in(tx, uid)
        if stored is None:
            return "grant_revoked"
        if stored.client_id != client_id:
            return "grant_invalid"
        if stored.expires_at <= tx.now_us:
            return "grant_expired"
        identity = self._find_identity(tx, stored.root)
        is_previous = generation == stored.generation - 1 and tx.now_us - stored.rotated_at <= GRACE_US
        if identity is None or (generation != stored.generation and not is_previous):
            sign_in_store.delete_sign_in(tx, uid)
            return "grant_revoked"
        following = stored.generation
        if not is_previous:
            following += 1
            sign_in_store.rotate_sign_in(tx, uid, following, tx.now_us + REFRESH_S * 1_000_000)
        return SignedIn(identity=identity, scope=stored.scope, refresh_token=self._make_token(uid, following))

    def _begin(
        self, tx: Tx, identity: Identity, client_id: str, scope: str, nonce: str | None = None
    ) -> tuple[SignedIn, str]:
        value = StoredSignIn(
            uid=new_uid(),
            root=_root_of(identity),
            client_id=client_id,
            scope=scope,
            generation=1,
            rotated_at=tx.now_us,
            expires_at=tx.now_us + REFRESH_S * 1_000_000,
        )
        sign_in_store.insert_sign_in(tx, value, KEPT_SIGN_INS)
        token = self._make_token(value.uid, 1)
        return SignedIn(identity=identity, scope=scope, refresh_token=token, nonce=nonce), value.uid

    def _find_identity(self, tx: Tx, root: Root) -> Identity | None:
        """As it is now; None when what the sign-in rests on no longer holds."""
        holder = store.find_holder(tx, root.principal_id, self._tenant_id)
        if holder is None or not holder.enabled or holder.principal.version != root.version:
            return None
        return Identity(holder=holder, credential=root.credential) if holder.holds(root.credential, tx.now_us) else None

    def _make_token(self, uid: str, generation: int) -> str:
        return f"1.{uid}.{generation}.{self._mac(uid, generation)}"

    def _mac(self, uid: str, generation: int) -> str:
        return self._hasher.derive("refresh-token", f"{uid}.{generation}")


def make_challenge(verifier: str) -> str:
    """What a PKCE verifier proves, by S256 (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def show_user_code(code: str) -> str:
    """`WDJB-MJHT`: easier to read out."""
    return f"{code[:4]}-{code[4:]}"


def read_user_code(text: str) -> str:
    """As it is stored, however it was typed."""
    return "".join(char for char in text.upper() if char.isascii() and char.isalnum())[:16]


def _proves(challenge: str | None, verifier: str | None) -> bool:
    if challenge is None:
        return verifier is None
    return verifier is not None and hmac.compare_digest(make_challenge(verifier), challenge)


def _root_of(identity: Identity) -> Root:
    principal = identity.principal
    return Root(principal_id=principal.id, credential=identity.credential, version=principal.version)


def _waiting(stored: StoredDevice | None, db: Database) -> StoredDevice | None:
    if stored is None or stored.status != PENDING or stored.expires_at <= db.clock.now_us():
        return None
    return stored


_MESSAGES: Final[dict[Reason, str]] = {
    "grant_invalid": "the code or refresh token is not one that was given to this client",
    "grant_expired": "the code or refresh token has expired; sign in again",
    "grant_revoked": "the sign-in was ended: the password or the account has changed since; sign in again",
    "code_used": "the authorization code was used already; sign in again",
    "redirect_mismatch": "the redirect URI is not the one that the code was asked for with",
    "verifier_wrong": "the code verifier does not match the code challenge that the code was asked for with",
    "pending": "the person has not signed in yet; go on polling",
    "slow_down": f"polled too often; wait {INTERVAL_S} seconds between two requests",
    "declined": "the person declined to sign in",
    "device_code_expired": "the device code has expired; start again",
    "device_code_unknown": "the device code is not one that was given to this client, or was used already",
}


def _unwrap(outcome: _Outcome) -> SignedIn:
    if isinstance(outcome, SignedIn):
        return outcome
    raise SignInRefused(outcome, _MESSAGES[outcome])
