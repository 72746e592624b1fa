"""A service principal's own signed statement that it is itself (RFC 7523), checked against its certificates."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec

from darsena.db import Database, Tx
from darsena.identity import directory_store, store
from darsena.identity.model import Holder, Identity
from darsena.identity.refusals import SignInRefused

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS256", "PS256")
LEEWAY_S: Final = 300
"""Clocks of clients are not ours."""
MAX_LIFETIME_S: Final = 24 * 3600
_MAX_BYTES: Final = 32 * 1024
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,16384}={0,2}\.[A-Za-z0-9_-]+={0,2}\.[A-Za-z0-9_-]{1,2048}={0,2}\Z")
"""With the padding that azure-identity's asynchronous clients leave on each part."""
_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")


class _Header(msgspec.Struct, frozen=True):
    alg: Literal["RS256", "PS256"]
    x5t: str | None = None
    x5t_s256: str | None = msgspec.field(default=None, name="x5t#S256")
    kid: str | None = None
    crit: Any = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    nbf: float | None = None
    iat: float | None = None


class Assertions:
    def __init__(self, db: Database, tenant_id: str) -> None:
        self._db = db
        self._tenant_id = tenant_id

    async def check(self, assertion: str, client_id: str | None, audiences: Collection[str]) -> Identity:
        """The service principal that signed it. Raises SignInRefused.

        `audiences` are the addresses that stand for this directory. The algorithm comes from a fixed list, the key from
        the certificates that were registered; certificates that the assertion brings along are not looked at.
        """
        header, claims = _read(assertion)
        name = claims.sub.lower()
        if claims.iss.lower() != name or (client_id is not None and client_id.lower() != name):
            raise SignInRefused("assertion_malformed", "the assertion's issuer and subject must both be the client id")
        found = await self._db.read(self._find, name) if _GUID.match(name) else None
        if found is None or not found[0].enabled:
            raise SignInRefused("client_unknown", f"there is no client {name[:64]!r} here, or it is disabled")
        holder, certificates = found
        for certificate in certificates:
            if _is_meant(header, certificate):
                await asyncio.to_thread(_verify, assertion, header.alg, certificate.der)
                self._check_claims(claims, audiences)
                return Identity(holder=holder, credential=certificate.uid)
        raise SignInRefused(
            "assertion_key_unknown",
            "the assertion names no certificate that is registered for the client and valid now",
        )

    def _find(self, tx: Tx, client_id: str) -> tuple[Holder, list[directory_store.StoredCertificate]] | None:
        principal = store.find_by_client_id(tx, client_id)
        holder = None if principal is None else store.find_holder(tx, principal.id, self._tenant_id)
        if holder is None:
            return None
        now_us = self._db.clock.now_us()
        stored = directory_store.list_certificates(tx, holder.principal.id)
        return holder, [row for row in stored if row.starts_at <= now_us and holder.holds(row.uid, now_us)]

    def _check_claims(self, claims: _Claims, audiences: Collection[str]) -> None:
        named = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if not any(audience.rstrip("/").lower() in audiences for audience in named):
            raise SignInRefused("assertion_audience", "the assertion's audience is not this directory's token endpoint")
        now_s = self._db.clock.now_us() / 1_000_000
        starts = claims.nbf if claims.nbf is not None else claims.iat
        early = starts is not None and starts > now_s + LEEWAY_S
        if early or claims.exp <= now_s - LEEWAY_S or claims.exp > now_s + MAX_LIFETIME_S + LEEWAY_S:
            raise SignInRefused("assertion_time", "the assertion is not within its valid time range, or lives too long")


def _read(assertion: str) -> tuple[_Header, _Claims]:
    """Before its signature is checked: used to find the key, and believed only afterwards."""
    if len(assertion) > _MAX_BYTES or not _FORM.match(assertion):
        raise SignInRefused("assertion_malformed", "the assertion is no signed JWT")
    head, body, _ = assertion.split(".")
    try:
        header = msgspec.json.decode(_decode(head), type=_Header)
        claims = msgspec.json.decode(_decode(body), type=_Claims)
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        raise SignInRefused("assertion_malformed", f"the assertion is no JWT signed with one of {ALGORITHMS}") from None
    if header.crit is not None:
        raise SignInRefused("assertion_malformed", "the assertion has critical headers that are not known here")
    return header, claims


def _is_meant(header: _Header, certificate: directory_store.StoredCertificate) -> bool:
    """By thumbprint; `kid` is one in hexadecimal where a client sends no x5t."""
    if header.x5t_s256 is not None:
        return header.x5t_s256.rstrip("=") == _thumbprint(certificate.sha256)
    if header.x5t is not None:
        return header.x5t.rstrip("=") == _thumbprint(certificate.sha1)
    return header.kid is not None and header.kid.upper() in (certificate.sha1, certificate.sha256)


def _thumbprint(hexadecimal: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(hexadecimal)).decode().rstrip("=")


def _verify(assertion: str, algorithm: str, der: bytes) -> None:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    public = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(public, RSAPublicKey), "only RSA certificates are ever stored"
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size)
    signed, _, signature = assertion.rpartition(".")
    try:
        scheme = pss if algorithm == "PS256" else padding.PKCS1v15()
        public.verify(_decode(signature), signed.encode(), scheme, hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        raise SignInRefused("assertion_signature", "the assertion's signature does not match the certificate") from None


def _decode(part: str) -> bytes:
    part = part.rstrip("=")
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
