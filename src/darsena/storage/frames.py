"""The object format: how every blob, open upload, build source, block and run log lies on disk.

    header, 64 bytes
       0   8  magic  89 "DARSENA"
       8   1  version, 1
       9   1  algorithm, 1: HKDF-SHA-256, AES-256-GCM
      10   2  zero
      12   4  segment size, big-endian; 1,048,576
      16  32  salt: with the registry's data key it gives this object's key
      48  16  zero
    frame, 32 bytes + plaintext; any number of them, numbered from 0
       0   4  plaintext size, 1 to the segment size
       4  12  nonce, random
      16   n  ciphertext
    16+n  16  tag
    end mark, 80 bytes: a frame whose first bit is set, with a plaintext of 48 bytes
       0   8  size of the whole plaintext
       8   8  number of frames
      16  32  note: zero, or what the kind of object wants to remember

Associated data of a frame: the header, the registry's uid, the object's kind and id, the frame's number, a last mark
that only the end mark has set. A blob's frames are written before its digest is known, so their id is empty; they
belong together by the salt, and the end mark carries the digest. So no frame can be changed, moved, swapped, or taken
from another object, kind, registry; no object can stand in for another; and nothing can be cut off its end.

In a *finished* object all frames but the last are full, so byte b lies in frame b // segment, and that frame begins at
64 + (segment + 32) * frame: a range costs its frames and the end mark. In a *growing* object (open upload, run log)
frames are of any size and the end mark is missing; one walks from frame to frame. A growing object whose frames happen
to be full but for the last is finished by appending the end mark; nothing before it is rewritten.

A nonce is random and used once: a frame that a crash or error cut off is written again as a new frame with a new one.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from darsena.core.errors import ContentCorrupt
from darsena.storage.cipher import NONCE_BYTES, TAG_BYTES, Buffer, DataKey, associated

SEGMENT_BYTES = 1 << 20
HEADER_BYTES = 64
FRAME_HEAD_BYTES = 16
FRAME_OVERHEAD = FRAME_HEAD_BYTES + TAG_BYTES
END_BYTES = 80
NO_NOTE = bytes(32)

BLOB, SOURCE, BLOCK, LOG = "blob", "source", "block", "log"

_HEADER = struct.Struct(">8sBBHI32s16s")
_FRAME_HEAD = struct.Struct(">I12s")
_PLACE = struct.Struct(">QB")
_END = struct.Struct(">QQ32s")
_MAGIC, _VERSION, _ALGORITHM = b"\x89DARSENA", 1, 1
_END_BIT = 0x80000000
_END_HEAD = _END_BIT | _END.size
_PURPOSE = b"darsena object 1"


def new_header() -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, _ALGORITHM, 0, SEGMENT_BYTES, os.urandom(32), bytes(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What an end mark says."""

    size: int
    frames: int
    note: bytes = NO_NOTE


class FrameCipher:
    """Seals and opens the frames of one object. Raises ContentCorrupt for a header that this version does not write."""

    __slots__ = ("_aead", "_context", "_what", "identity")

    def __init__(self, key: DataKey, header: Buffer, registry: str, kind: str, frames_id: str) -> None:
        self._what = f"a stored {kind} of registry {registry}"
        if len(header) != HEADER_BYTES:
            raise ContentCorrupt(f"{self._what} is cut short")
        magic, version, algorithm, zero, segment, salt, zeros = _HEADER.unpack(header)
        if (magic, version, algorithm, zero, segment, zeros) != (
            _MAGIC, _VERSION, _ALGORITHM, 0, SEGMENT_BYTES, bytes(16),
        ):  # fmt: skip
            raise ContentCorrupt(f"{self._what} has a header that this version does not write")
        self._aead = key.derive(salt, _PURPOSE)
        self._context = bytes(header) + associated(registry, kind)
        self.identity = self._context + associated(frames_id)
        """What all frames of this object have in common, and no other object has."""

    def seal(self, index: int, plaintext: Buffer) -> list[Buffer]:
        """The frame's bytes in two parts."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, plaintext, self.identity + _PLACE.pack(index, 0))
        return [_FRAME_HEAD.pack(len(plaintext), nonce), sealed]

    def open(self, index: int, frame: Buffer) -> bytes:
        """The plaintext of frame number `index`. Raises ContentCorrupt."""
        if len(frame) >= FRAME_OVERHEAD:
            size, nonce = _FRAME_HEAD.unpack_from(frame)
            if size == len(frame) - FRAME_OVERHEAD:
                data = self.identity + _PLACE.pack(index, 0)
                with suppress(InvalidTag):
                    return self._aead.decrypt(nonce, memoryview(frame)[FRAME_HEAD_BYTES:], data)
        raise ContentCorrupt(f"frame {index} of {self._what} does not match its authentication tag")

    def seal_end(self, object_id: str, end: End) -> list[Buffer]:
        nonce = os.urandom(NONCE_BYTES)
        data = self._context + associated(object_id) + _PLACE.pack(end.frames, 1)
        body = _END.pack(end.size, end.frames, end.note)
        return [_FRAME_HEAD.pack(_END_HEAD, nonce), self._aead.encrypt(nonce, body, data)]

    def open_end(self, object_id: str, mark: Buffer, frames: int) -> End:
        """The end mark of the object `object_id` that has `frames` frames. Raises ContentCorrupt."""
        if len(mark) == END_BYTES:
            head, nonce = _FRAME_HEAD.unpack_from(mark)
            data = self._context + associated(object_id) + _PLACE.pack(frames, 1)
            if head == _END_HEAD:
                with suppress(InvalidTag):
                    opened = self._aead.decrypt(nonce, memoryview(mark)[FRAME_HEAD_BYTES:], data)
                    size, count, note = _END.unpack(opened)
                    return End(size=size, frames=count, note=note)
        raise ContentCorrupt(f"{self._what} has no end mark of its own: it is cut short, or not what its name says")


def frame_size(head: Buffer) -> int | None:
    """Bytes of the whole frame that starts with `head`; None for an end mark and for what starts no frame."""
    if len(head) < FRAME_HEAD_BYTES:
        return None
    size = _FRAME_HEAD.unpack_from(head)[0]
    return size + FRAME_OVERHEAD if 0 < size <= SEGMENT_BYTES else None


STRIDE = SEGMENT_BYTES + FRAME_OVERHEAD


@dataclass(frozen=True, slots=True)
class Shape:
    """Arithmetic of a finished object: from its bytes on disk to its frames and its size."""

    frames: int
    size: int

    @classmethod
    def of_stored(cls, stored: int) -> Shape | None:
        """None when no finished object has this many bytes."""
        full, rest = divmod(stored - HEADER_BYTES - END_BYTES, STRIDE)
        if full < 0 or 0 < rest <= FRAME_OVERHEAD:
            return None
        return (
            cls(full, full * SEGMENT_BYTES)
            if rest == 0
            else cls(full + 1, full * SEGMENT_BYTES + rest - FRAME_OVERHEAD)
        )

    def place(self, index: int) -> tuple[int, int]:
        """(position, bytes) of a frame in the file."""
        plain = min(SEGMENT_BYTES, self.size - index * SEGMENT_BYTES)
        return HEADER_BYTES + index * STRIDE, plain + FRAME_OVERHEAD
