"""Certificates of repository tokens: kept and shown, as the service does. Nobody signs in to a registry with one."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from darsena.core.errors import RequestInvalid

_MAX_LENGTH: Final = 64 * 1024
_TARGET: Final = "properties.credentials.certificates.encodedPemCertificate"


class TokenCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of it. `name` is certificate1 or certificate2."""

    name: str
    thumbprint: str
    """SHA-1 of the DER, lower-case hexadecimal."""
    expires_at: int


def parse_token_certificate(name: str, encoded: str) -> TokenCertificate:
    """`encoded` is base64 of PEM; one that has expired is as good. Raises RequestInvalid."""
    from cryptography import x509  # seldom wanted
    from cryptography.hazmat.primitives import hashes

    try:
        if len(encoded) > _MAX_LENGTH:
            raise ValueError
        found = x509.load_pem_x509_certificate(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        raise RequestInvalid(f"The certificate '{name}' is not base64 of a certificate in PEM.", _TARGET) from None
    return TokenCertificate(
        name=name,
        thumbprint=found.fingerprint(hashes.SHA1()).hex(),  # noqa: S303
        expires_at=int(found.not_valid_after_utc.timestamp()) * 1_000_000,
    )
