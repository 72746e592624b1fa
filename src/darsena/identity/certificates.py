"""X.509 certificates that a service principal signs in with. Only the public half ever comes here."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from darsena.core.errors import RequestInvalid

if TYPE_CHECKING:
    from cryptography import x509

MIN_BITS: Final = 2048
_MAX_BYTES: Final = 64 * 1024
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """An RSA certificate and the thumbprints by which an assertion names it, upper-case hexadecimal."""

    der: bytes
    sha1: str
    sha256: str
    starts_at: int
    expires_at: int
    """Both in microseconds."""


def parse_certificate(text: str, now_us: int) -> Certificate:
    """PEM (the first certificate in it), or base64 of DER as Microsoft Graph has it. Raises RequestInvalid."""
    if len(text) > _MAX_BYTES:
        raise _invalid(f"it is larger than {_MAX_BYTES} bytes")
    if "PRIVATE KEY" in text and _BEGIN not in text.encode():
        raise _invalid("this is a private key: keep it, and send the certificate only")
    return read_certificate(_load(text), now_us)


def read_certificate(loaded: x509.Certificate, now_us: int) -> Certificate:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        key = loaded.public_key()
        der = loaded.public_bytes(Encoding.DER)
    except Exception as error:  # the library raises many kinds for keys that it does not know
        raise _invalid("its public key cannot be read") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise _invalid(f"its key must be RSA with at least {MIN_BITS} bits")
    certificate = Certificate(
        der=der,
        sha1=loaded.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
        sha256=loaded.fingerprint(hashes.SHA256()).hex().upper(),
        starts_at=_to_us(loaded.not_valid_before_utc),
        expires_at=_to_us(loaded.not_valid_after_utc),
    )
    if certificate.expires_at <= now_us:
        raise _invalid(f"it expired on {loaded.not_valid_after_utc:%Y-%m-%d}")
    return certificate


def _load(text: str) -> x509.Certificate:
    from cryptography import x509

    data = text.strip().encode()
    try:
        if _BEGIN in data:
            return x509.load_pem_x509_certificate(data[data.index(_BEGIN) :])
        return x509.load_der_x509_certificate(base64.b64decode(b"".join(data.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid("it is neither PEM nor base64 of DER") from error


def _to_us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def _invalid(why: str) -> RequestInvalid:
    return RequestInvalid(f"the certificate is not valid here: {why}", "certificate")
