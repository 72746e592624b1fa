"""The bytes on disk are what the format's page says: other versions must read what this one wrote."""

from __future__ import annotations

import hashlib
import hmac
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from darsena.core.digest import Digest
from darsena.core.errors import ContentCorrupt
from darsena.storage import LocalStorage
from darsena.storage.cipher import DataKey, associated, seal_value, unseal_value
from darsena.storage.frames import END_BYTES, FRAME_OVERHEAD, HEADER_BYTES, STRIDE, Shape
from darsena.storage.growing import open_locked
from darsena.storage.layout import Layout, file_name, is_registry, is_temporary, temporary_beside

from .conftest import REGISTRY
from .feeding import SEGMENT, content, push

SECRET = bytes(range(32))


def derive(salt: bytes, purpose: bytes) -> AESGCM:
    """HKDF-SHA-256 of one block, by hand (RFC 5869)."""
    extracted = hmac.digest(salt, SECRET, "sha256")
    return AESGCM(hmac.digest(extracted, purpose + b"\x01", "sha256"))


def fields(*texts: str) -> bytes:
    return b"".join(struct.pack(">I", len(text.encode())) + text.encode() for text in texts)


async def test_blob_by_hand(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.uploads._keyring, "_keys", {REGISTRY: DataKey(SECRET)})  # pyright: ignore
    data = content(SEGMENT + 5)
    digest = await push(local, REGISTRY, data)
    stored = local.layout.blob(REGISTRY, digest).read_bytes()
    assert stored[:16] == b"\x89DARSENA\x01\x01\x00\x00\x00\x10\x00\x00"
    assert stored[48:64] == bytes(16)
    aead = derive(stored[16:48], b"darsena object 1")
    context = stored[:64] + fields(REGISTRY, "blob")
    at, plaintext = 64, b""
    for index, size in enumerate([SEGMENT, 5]):
        length, nonce = struct.unpack_from(">I12s", stored, at)
        assert length == size
        frame_data = context + fields("") + struct.pack(">QB", index, 0)
        plaintext += aead.decrypt(nonce, stored[at + 16 : at + 32 + size], frame_data)
        at += 32 + size
    assert plaintext == data
    head, nonce = struct.unpack_from(">I12s", stored, at)
    end = aead.decrypt(nonce, stored[at + 16 :], context + fields(str(digest)) + struct.pack(">QB", 2, 1))
    assert (head, end) == (0x80000030, struct.pack(">QQ32x", len(data), 2))


def test_sealed_value_by_hand() -> None:
    sealed = seal_value(DataKey(SECRET), REGISTRY, "manifest", "7", b"bytes")
    aead = derive(sealed[1:33], b"darsena value 1")
    assert sealed[:1] == b"\x01"
    assert aead.decrypt(sealed[33:45], sealed[45:], b"\x01" + fields(REGISTRY, "manifest", "7")) == b"bytes"


# Written by version 0.1.0 with the data key 00 01 02 … 1f. Never edit: data folders out there have it.
VALUE = (
    "016b190e67f189b53645baa3a00058af10fbf1b3db9a63749f0df81fe4057fdace5e2c932e379e42497f4fe337993072eac8"
    "711f8891560feb58e4eb4522a200498621aee18f6885003092bb34"
)
BLOB = (
    "8944415253454e410101000000100000b551f14053ee47714ec50f572e0410dc7e862423ddeef037fb016a7112e70d230000"
    "0000000000000000000000000000000000059800d5145f72b92be0f39edca0a5c3e317b78b38d4b897611123ee052f434de7"
    "9e80000030a3e965164ce7e9b442b6799a914b29bcace211daa564209e147f76e63e211b55a3c34560c5663db30e64f5918d"
    "497163bf536202ead86eac1e8707db8be346999bf3ee87ec10f37de8a81a44"
)


async def test_what_the_first_version_wrote(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.uploads._keyring, "_keys", {REGISTRY: DataKey(SECRET)})  # pyright: ignore
    assert unseal_value(DataKey(SECRET), REGISTRY, "manifest", "1", bytes.fromhex(VALUE)) == b"kept since 0.1.0"
    digest = await push(local, REGISTRY, b"hello")
    local.layout.blob(REGISTRY, digest).write_bytes(bytes.fromhex(BLOB))
    assert await local.blobs.read_whole(REGISTRY, digest, 5) == b"hello"


@pytest.mark.parametrize(
    ("frames", "size"),
    [(0, 0), (1, 1), (1, SEGMENT), (2, SEGMENT + 1), (5, 4 * SEGMENT + 17)],
)
def test_shape(frames: int, size: int) -> None:
    stored = HEADER_BYTES + size + frames * FRAME_OVERHEAD + END_BYTES
    shape = Shape.of_stored(stored)
    assert shape == Shape(frames, size)
    if shape and frames:
        position, length = shape.place(frames - 1)
        assert position == HEADER_BYTES + (frames - 1) * STRIDE
        assert position + length + END_BYTES == stored


def test_shape_of_no_object() -> None:
    fixed = HEADER_BYTES + END_BYTES
    for stored in [0, fixed - 1, fixed + 1, fixed + FRAME_OVERHEAD, fixed + STRIDE + FRAME_OVERHEAD]:
        assert Shape.of_stored(stored) is None


def test_associated_data_is_unambiguous() -> None:
    texts = [("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c"), ("ñ",), ("\udcff",)]
    assert len({associated(*each) for each in texts}) == len(texts)


def test_a_data_key_has_its_size() -> None:
    with pytest.raises(ValueError, match="32"):
        DataKey(b"short")
    with pytest.raises(ContentCorrupt):
        unseal_value(DataKey(SECRET), REGISTRY, "k", "1", b"\x02" + bytes(100))


# --- names ----------------------------------------------------------------------------------------------------------


def test_paths(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    digest = Digest.of(b"x")
    assert layout.blob(REGISTRY, digest) == (
        tmp_path / "registries" / REGISTRY / "blobs" / "sha256" / digest.hex[:2] / digest.hex
    )
    for uid in ("", "..", "../" + REGISTRY[3:], REGISTRY.upper(), REGISTRY + "0", REGISTRY + "\n"):
        assert not is_registry(uid)
        with pytest.raises(ValueError, match="uid"):
            layout.registry(uid)


def test_file_names_are_one_component_and_differ() -> None:
    texts = ["run-1", "a/b", "..", ".", "", "A", "a" * 65, "a" * 64, "ñ", "nul\x00", ".tmp-1", "-a", "=" + "a" * 64,
             file_name("a/b")]  # fmt: skip
    names = {file_name(text) for text in texts}
    assert len(names) == len(texts)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert 0 < len(name) <= 65
        assert not is_temporary(name)
    assert file_name("run-1") == "run-1"
    assert file_name("a/b") == "=" + hashlib.sha256(b"a/b").hexdigest()


def test_temporary_names(tmp_path: Path) -> None:
    one, two = temporary_beside(tmp_path / "x"), temporary_beside(tmp_path / "x")
    assert one != two
    assert one.parent == tmp_path
    assert is_temporary(one.name)


def test_open_locked_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_locked(tmp_path / "absent")
