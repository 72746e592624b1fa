"""A run of gc, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

GcStatus = Literal["Queued", "Running", "Paused", "Succeeded", "Failed"]


class Progress(msgspec.Struct, kw_only=True, rename="camel"):
    """Counts so far. `bytes_freed` are what the removed blobs had; a run that goes on after a crash counts on."""

    phase: str = ""
    registries: int = 0
    registries_done: int = 0
    blobs_examined: int = 0
    blobs_marked: int = 0
    links_removed: int = 0
    blobs_removed: int = 0
    bytes_freed: int = 0
    orphans_removed: int = 0
    orphan_bytes: int = 0
    """Stored bytes without a row, encryption included."""
    leftovers_removed: int = 0
    """Temporary files that a crash cut off."""
    uploads_removed: int = 0
    blobs_waiting: int = 0
    """Marked: they go in a later run, unless somebody asks for them before."""
    bytes_waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GcRun:
    id: int
    registry_uid: str | None
    """None: all registries."""
    grace_us: int
    status: GcStatus
    requested_us: int
    started_us: int | None
    finished_us: int | None
    owner: str | None
    lease_until_us: int | None
    progress: Progress
    error: str | None


@dataclass(slots=True, kw_only=True)
class Tally:
    """So many things with so many bytes together."""

    number: int = 0
    size: int = 0

    def add(self, size: int, number: int = 1) -> None:
        self.number += number
        self.size += size


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a run would remove now. Blobs count their content's bytes, all else its bytes on disk."""

    blobs: Tally = field(default_factory=Tally)
    digests: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """(digest, bytes) of the blobs, the first thousand."""
    links: int = 0
    """Links to blobs that nothing uses in their repository."""
    orphans: Tally = field(default_factory=Tally)
    leftovers: Tally = field(default_factory=Tally)
    uploads: Tally = field(default_factory=Tally)
    waiting: Tally = field(default_factory=Tally)
    """Garbage too, but younger than the grace."""


def encode_progress(progress: Progress) -> bytes:
    return msgspec.json.encode(progress)


def decode_progress(stored: bytes) -> Progress:
    return msgspec.json.decode(stored, type=Progress)
