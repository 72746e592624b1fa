"""The default key provider: a root key in a file beside the data, readable by its owner only.

    {"format": 1, "current": "<id>", "keys": {"<id>": "<32 bytes, base64>"}}

One key, or two while a rotation goes on. Whoever has this file and the data folder has everything: keep it apart in
backups.
"""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from darsena.core.errors import ContentCorrupt, StartFailure, Unavailable
from darsena.core.ids import new_uid
from darsena.storage import disk
from darsena.storage.cipher import KEY_BYTES, NONCE_BYTES, associated

_FORMAT = 1


class _File(msgspec.Struct, frozen=True):
    format: int
    current: str
    keys: dict[str, str]


class RootKeyFile:
    """KeyProvider over one local file. Another process's rotation is noticed at the next use."""

    def __init__(self, path: Path, content: _File, version: tuple[int, int]) -> None:
        self._path = path
        self._content = content
        self._version = version
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path) -> RootKeyFile:
        """A new root key. FileExistsError rather than ever replacing one."""
        if path.exists():
            raise FileExistsError(path)
        disk.ensure_folder(path.parent)
        key_id = new_uid()
        disk.replace_file(path, msgspec.json.encode(_File(_FORMAT, key_id, {key_id: _new_key()})))
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> RootKeyFile:
        """Raises StartFailure, saying what to do, when the file is missing, readable by others, or not a key file."""
        try:
            content, version = _read(path)
        except FileNotFoundError:
            raise StartFailure(
                f"the root key {path} is missing: put it back from your backup; without it nothing stored can be read"
            ) from None
        except OSError as error:
            raise StartFailure(f"the root key {path} cannot be read: {error.strerror}") from error
        return cls(path, content, version)

    @property
    def key_id(self) -> str:
        """The key that `wrap` uses now."""
        return self._fresh().current

    def wrap(self, secret: bytes, owner: str) -> tuple[bytes, str]:
        """(the secret encrypted for this owner, the id of the key that did it)."""
        content = self._fresh()
        nonce = os.urandom(NONCE_BYTES)
        data = associated("data key", owner, content.current)
        return nonce + self._cipher(content, content.current).encrypt(nonce, secret, data), content.current

    def unwrap(self, wrapped: bytes, wrapped_by: str, owner: str) -> bytes:
        """Raises Unavailable when the key is not in the file, ContentCorrupt when it does not fit."""
        content = self._content if wrapped_by in self._content.keys else self._fresh()
        if wrapped_by not in content.keys:
            raise Unavailable(f"the root key {wrapped_by} is not in {self._path.name}: restore the file that has it")
        data = associated("data key", owner, wrapped_by)
        try:
            return self._cipher(content, wrapped_by).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], data)
        except (InvalidTag, ValueError):
            raise ContentCorrupt(f"the data key of {owner} does not match its root key") from None

    def rotate(self) -> str:
        """Make a new current key, keep the old ones, and return its id. Follow with `Keyring.rewrap`, then `retire`."""
        with self._lock:
            content, _ = _read(self._path)
            key_id = new_uid()
            self._save(_File(_FORMAT, key_id, {**content.keys, key_id: _new_key()}))
        return key_id

    def retire(self) -> None:
        """Forget every key but the current one. Only after `rewrap` has committed."""
        with self._lock:
            content, _ = _read(self._path)
            self._save(_File(_FORMAT, content.current, {content.current: content.keys[content.current]}))

    def _fresh(self) -> _File:
        with self._lock:
            try:
                if _version_of(os.stat(self._path)) != self._version:
                    self._content, self._version = _read(self._path)
            except (OSError, StartFailure) as error:
                raise Unavailable("the root key file cannot be read; nothing was changed") from error
            return self._content

    def _save(self, content: _File) -> None:
        disk.replace_file(self._path, msgspec.json.encode(content))
        self._content, self._version = _read(self._path)

    def _cipher(self, content: _File, key_id: str) -> AESGCM:
        return AESGCM(base64.b64decode(content.keys[key_id]))


def _new_key() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _version_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> tuple[_File, tuple[int, int]]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & 0o077:
            raise StartFailure(f"the root key {path} can be read by others: run `chmod 600 {path}`")
        try:
            content = msgspec.json.decode(file.read(), type=_File)
            sound = all(len(base64.b64decode(key, validate=True)) == KEY_BYTES for key in content.keys.values())
        except (msgspec.DecodeError, ValueError) as error:
            raise StartFailure(f"{path} is not a root key file: put it back from your backup") from error
    if content.format != _FORMAT or content.current not in content.keys or not sound:
        raise StartFailure(f"{path} is not a root key file that this version reads")
    return content, _version_of(status)
