"""Which thing a raw path names. Segments are split before they are decoded, so `%2F` and `%3A` stay inside them.

A repository's name may be sent with plain or encoded slashes; a path whose name is no repository's has no route.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from darsena.api.http import decode_segment
from darsena.core.errors import NameInvalid, RequestInvalid, RouteUnknown
from darsena.core.names import RepositoryName

Kind = Literal[
    "base", "catalog", "tags", "manifest", "blob", "uploads", "upload", "referrers",
    "acr_catalog", "acr_repository", "acr_tags", "acr_tag", "acr_manifests", "acr_manifest",
]  # fmt: skip


_NO_REPOSITORY = RepositoryName("")


@dataclass(frozen=True, slots=True)
class Target:
    kind: Kind
    repository: RepositoryName = _NO_REPOSITORY
    reference: str = ""
    """Tag, digest or upload id: decoded, not yet checked."""


def parse_v2(raw_path: str) -> Target:
    """Of a path below `/v2/`. Raises RouteUnknown."""
    parts = _split(raw_path, "/v2")
    match parts:
        case [] | [""]:
            return Target("base")
        case ["_catalog"]:
            return Target("catalog")
        case [*name, "tags", "list"]:
            return Target("tags", _name(name, raw_path))
        case [*name, "manifests", reference] if reference:
            return Target("manifest", _name(name, raw_path), reference)
        case [*name, "blobs", "uploads"] | [*name, "blobs", "uploads", ""]:
            return Target("uploads", _name(name, raw_path))
        case [*name, "blobs", "uploads", upload]:
            return Target("upload", _name(name, raw_path), upload)
        case [*name, "blobs", digest] if digest:
            return Target("blob", _name(name, raw_path), digest)
        case [*name, "referrers", digest] if digest:
            return Target("referrers", _name(name, raw_path), digest)
        case _:
            raise RouteUnknown(f"there is nothing at {raw_path}")


def parse_acr(raw_path: str) -> Target:
    """Of a path below `/acr/v1/`. Raises RouteUnknown."""
    parts = _split(raw_path, "/acr/v1")
    match parts:
        case ["_catalog"]:
            return Target("acr_catalog")
        case [*name, "_tags"] | [*name, "_tags", ""]:
            return Target("acr_tags", _name(name, raw_path))
        case [*name, "_tags", tag]:
            return Target("acr_tag", _name(name, raw_path), tag)
        case [*name, "_manifests"] | [*name, "_manifests", ""]:
            return Target("acr_manifests", _name(name, raw_path))
        case [*name, "_manifests", digest]:
            return Target("acr_manifest", _name(name, raw_path), digest)
        case name:
            return Target("acr_repository", _name(name, raw_path))


def _split(raw_path: str, prefix: str) -> list[str]:
    rest = raw_path.removeprefix(prefix)
    if rest in ("", "/"):
        return []
    if not rest.startswith("/"):
        raise RouteUnknown(f"there is nothing at {raw_path}")
    try:
        return [decode_segment(part) for part in rest[1:].split("/")]
    except RequestInvalid as error:
        raise RouteUnknown(error.message) from error


def _name(parts: list[str], raw_path: str) -> RepositoryName:
    try:
        return RepositoryName.parse("/".join(parts))
    except NameInvalid as error:
        raise RouteUnknown(f"there is nothing at {raw_path}: {error.message}") from error
