"""Identifiers that are made here."""

from __future__ import annotations

import secrets
import uuid

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_uid() -> str:
    """128 random bits as 32 hexadecimal digits: names a thing for ever and is never used again."""
    return secrets.token_hex(16)


def new_guid() -> str:
    """A random GUID in ARM's spelling."""
    return str(uuid.uuid4())


def new_secret(bits: int = 256) -> str:
    """A generated secret of at least 160 bits, in ASCII letters and digits, which no shell or form changes."""
    if bits < 160:
        raise ValueError("a generated secret has at least 160 bits")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(-(-bits * 1000 // 5954)))


def base36(number: int) -> str:
    """Lower-case base 36, as the counters in run ids are written."""
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _BASE36[rest] + digits
        if number == 0:
            return digits
