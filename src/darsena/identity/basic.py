"""The Authorization header, taken apart (RFC 9110, section 11.4; RFC 7617)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from darsena.core.errors import Unauthenticated

MAX_HEADER_BYTES: Final = 48 * 1024


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BearerToken:
    token: str = field(repr=False)


def parse_authorization(header: bytes) -> BasicCredentials | BearerToken:
    """Raises Unauthenticated for any other scheme and any other form."""
    scheme, _, rest = header.strip().partition(b" ")
    value = rest.strip()
    if len(header) > MAX_HEADER_BYTES or not value:
        raise Unauthenticated("the Authorization header is not one of Basic or Bearer with a value")
    match scheme.lower():
        case b"basic":
            return _parse_basic(value)
        case b"bearer":
            return BearerToken(value.decode("latin-1"))
        case _:
            raise Unauthenticated("the Authorization header's scheme is neither Basic nor Bearer")


def _parse_basic(value: bytes) -> BasicCredentials:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated("the Basic credentials are not base64") from None
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    username, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated("the Basic credentials hold no colon")
    return BasicCredentials(username, password)
