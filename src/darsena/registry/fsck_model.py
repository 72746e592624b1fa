"""What fsck finds, and what it has looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["lost", "inconsistent", "garbage"]

KINDS: Final[dict[str, tuple[Severity, str]]] = {
    "blob.bytes_missing": ("lost", "a blob has a row and no bytes"),
    "blob.corrupt": ("lost", "a blob's bytes do not match its digest"),
    "blob.unreadable": ("lost", "a blob's bytes cannot be read: the disk fails, or the server may not read them"),
    "blob.size_differs": ("lost", "a blob has another size than its row says"),
    "manifest.corrupt": ("lost", "a manifest does not open, or does not match its digest"),
    "manifest.content_missing": ("lost", "a manifest references what is not there"),
    "tag.dangling": ("inconsistent", "a tag names a manifest that is not there"),
    "manifest.references_differ": ("inconsistent", "what a manifest references is not noted"),
    "reference.dangling": ("inconsistent", "references are noted of a manifest that is not there"),
    "link.dangling": ("inconsistent", "a repository has a link to a blob without a row, and needs it for nothing"),
    "blob.orphan": ("garbage", "bytes without a row"),
    "upload.bytes_missing": ("garbage", "an upload has a row and no bytes"),
    "upload.orphan": ("garbage", "an upload has bytes and no row"),
    "registry.orphan": ("garbage", "a folder of a registry that is not there"),
    "leftover": ("garbage", "temporary files that a crash cut off"),
}
"""Every kind of finding: how bad, and what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`subject` is a digest, a tag, an upload's id. `is_repaired`: it was, in this check."""

    kind: str
    registry_uid: str
    subject: str
    detail: str
    repository: str | None = None
    is_repaired: bool = False

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind][0]


@dataclass(slots=True, kw_only=True)
class Examined:
    """Counted while the check goes on."""

    registries: int = 0
    blobs: int = 0
    bytes: int = 0
    manifests: int = 0
    uploads: int = 0
    stored: int = 0
    """Blobs that the store lists."""
