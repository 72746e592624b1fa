"""Finished objects, written: full frames, a shorter last one, an end mark; then visible, durably, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from darsena.storage import disk
from darsena.storage.cipher import Buffer, DataKey
from darsena.storage.frames import BLOB, NO_NOTE, SEGMENT_BYTES, End, FrameCipher, new_header
from darsena.storage.ground import Ground


class ObjectWriter:
    """One object being written beside its place. End with `publish`, then in any case `discard`."""

    def __init__(
        self,
        path: Path,
        key: DataKey,
        registry: str,
        kind: str,
        object_id: str,
        note: bytes = NO_NOTE,
        *,
        ground: Ground,
    ) -> None:
        header = new_header()
        self._cipher = FrameCipher(key, header, registry, kind, "" if kind == BLOB else object_id)
        self._object_id = object_id
        self._note = note
        self._frames = 0
        self._size = 0
        self._position = 0
        self._unwritten: list[Buffer] = [header]
        """What goes to the disk with the next segment: a small object is written at once."""
        try:
            self._file = disk.NewFile(path)
        except FileNotFoundError:
            ground.ensure(path.parent)
            self._file = disk.NewFile(path)

    def write(self, segment: Buffer) -> None:
        """A full segment; only the last may be shorter."""
        self._seal(segment)
        self._write()

    def publish(self, tail: Buffer) -> int:
        """Write the tail and the end mark, give the object its place, and return its size."""
        if tail:
            self._seal(tail)
        end = End(size=self._size, frames=self._frames, note=self._note)
        self._unwritten += self._cipher.seal_end(self._object_id, end)
        self._write()
        self._file.publish()
        return self._size

    def discard(self) -> None:
        """Leave nothing behind unless published. Never raises."""
        self._file.discard()

    def _seal(self, segment: Buffer) -> None:
        self._unwritten += self._cipher.seal(self._frames, segment)
        self._frames += 1
        self._size += len(segment)

    def _write(self) -> None:
        disk.keep_reserve(self._file.fd)
        self._position = disk.write_all(self._file.fd, self._position, self._unwritten)
        self._unwritten = []


def full_segments(parts: Iterable[bytes]) -> Iterator[Buffer]:
    """The same bytes in full segments, the last one shorter. Each is valid until the next is asked for."""
    buffer = bytearray()
    for part in parts:
        buffer += part
        while len(buffer) >= SEGMENT_BYTES:
            yield bytes(memoryview(buffer)[:SEGMENT_BYTES])
            del buffer[:SEGMENT_BYTES]
    if buffer:
        yield bytes(buffer)
