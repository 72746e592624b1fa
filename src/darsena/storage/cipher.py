"""Data keys, and what is derived from them: a key of its own for each object and each small value.

data key (256 random bits, one per registry and one for the system)
  └ HKDF-SHA-256, salt = random per object or value, info = what it is for
      └ AES-256-GCM key, used for one object or one value only
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from darsena.core.errors import ContentCorrupt

Buffer: TypeAlias = bytes | bytearray | memoryview

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

_VALUE_VERSION = b"\x01"
_VALUE_SALT_BYTES = 32
_VALUE_HEAD_BYTES = len(_VALUE_VERSION) + _VALUE_SALT_BYTES + NONCE_BYTES
_VALUE_PURPOSE = b"darsena value 1"


class DataKey:
    """256 secret bits; never used to encrypt anything itself. Does not show itself in `repr`."""

    __slots__ = ("_secret", "_signing")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes")
        self._secret = secret
        self._signing: dict[bytes, bytes] = {}
        """Keys of `sign` by purpose."""

    @staticmethod
    def generate() -> bytes:
        return os.urandom(KEY_BYTES)

    def derive(self, salt: bytes, purpose: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, purpose).derive(self._secret))

    def sign(self, purpose: bytes, message: bytes) -> bytes:
        """32 bytes of HMAC-SHA-256 under a key that serves this purpose only."""
        key = self._signing.get(purpose)
        if key is None:
            key = self._signing[purpose] = HKDF(SHA256(), KEY_BYTES, None, purpose).derive(self._secret)
        return hmac.digest(key, message, "sha256")


def associated(*fields: str) -> bytes:
    """Associated data that differs whenever any field does: each goes with its length before it."""
    encoded = [field.encode("utf-8", "surrogatepass") for field in fields]
    return b"".join(struct.pack(">I", len(field)) + field for field in encoded)


def seal_value(key: DataKey, owner: str, kind: str, name: str, plaintext: bytes) -> bytes:
    """`version 1 | salt 32 | nonce 12 | ciphertext | tag 16`: opens only for the same owner, kind and name."""
    salt, nonce = os.urandom(_VALUE_SALT_BYTES), os.urandom(NONCE_BYTES)
    data = _VALUE_VERSION + associated(owner, kind, name)
    return b"".join((_VALUE_VERSION, salt, nonce, key.derive(salt, _VALUE_PURPOSE).encrypt(nonce, plaintext, data)))


def unseal_value(key: DataKey, owner: str, kind: str, name: str, sealed: bytes) -> bytes:
    """Raises ContentCorrupt for anything that `seal_value` did not make for exactly this place."""
    if len(sealed) < _VALUE_HEAD_BYTES + TAG_BYTES or sealed[:1] != _VALUE_VERSION:
        raise ContentCorrupt(f"the stored {kind} {name} is not in a form that this version writes")
    salt = sealed[1 : 1 + _VALUE_SALT_BYTES]
    nonce = sealed[1 + _VALUE_SALT_BYTES : _VALUE_HEAD_BYTES]
    data = _VALUE_VERSION + associated(owner, kind, name)
    try:
        return key.derive(salt, _VALUE_PURPOSE).decrypt(nonce, sealed[_VALUE_HEAD_BYTES:], data)
    except InvalidTag:
        raise ContentCorrupt(f"the stored {kind} {name} does not match its authentication tag") from None
