"""Reading a manifest's bytes: what it is, what it references, what to show of it. The bytes stay as they are.

Sources: OCI image-spec (manifest.md, image-index.md), Docker image manifest v2 schema 2, ORAS artifact manifest. What
two parsers could read in two ways is refused (CVE-2021-41190): members given twice or in another case, an index with
layers, a manifest list inside an image, a descriptor whose `data` is other content than its digest names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from darsena.core.digest import Digest
from darsena.core.errors import DigestInvalid, ManifestInvalid, ManifestTooLarge
from darsena.core.media_types import (
    ARTIFACT_MANIFESTS,
    IMAGE_MANIFESTS,
    INDEXES,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1,
)

MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024
_REFERENCE_LIMIT = 20_000
_NODE_LIMIT = 10 * _REFERENCE_LIMIT
_SIZE_LIMIT = 1 << 62
_TEXT_LIMIT = 255


class _Described(msgspec.Struct, frozen=True, rename={"os_version": "os.version", "os_features": "os.features"}):
    """A child's platform (image-index.md). Kept as it is: only the types of what is known are looked at."""

    architecture: str | None = None
    os: str | None = None
    variant: str | None = None
    os_version: str | None = None
    os_features: list[str] | None = None


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    artifact_type: str | None = None
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: bytes | None = None
    platform: _Described | None = None


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    """A list that is null is empty: what writers in Go make of one without entries."""

    schema_version: int = 0
    media_type: str = ""
    artifact_type: str | None = None
    config: _Descriptor | None = None
    layers: list[_Descriptor] | msgspec.UnsetType | None = msgspec.UNSET
    manifests: list[_Descriptor] | msgspec.UnsetType | None = msgspec.UNSET
    blobs: list[_Descriptor] | msgspec.UnsetType | None = msgspec.UNSET
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None


_MEMBERS = frozenset(field.encode_name for field in msgspec.structs.fields(_Document))
_MEMBERS_BY_LOWER = {name.lower(): name for name in _MEMBERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What the registry knows from a manifest's bytes."""

    media_type: str
    digest: Digest
    size: int
    blobs: tuple[Digest, ...]
    """Config, layers, blobs that must be in the repository (no layer or blob that names `urls` of its own)."""
    manifests: tuple[Digest, ...]
    """Children of an index, that must be in the repository."""
    foreign: tuple[Digest, ...]
    """What names `urls` to be had from: need not be here, but is kept when it is."""
    subject: Digest | None
    image_size: int
    config: Digest | None
    config_media_type: str | None
    artifact_type: str | None
    """As the referrers API shows it: the field itself, else the config's media type of an image manifest."""


def parse(content: bytes, content_type: str, expected: Digest | None = None) -> Document:
    """Raises ManifestInvalid, ManifestTooLarge; `expected` only chooses the algorithm of the digest."""
    media_type = content_type.partition(";")[0].strip()
    if media_type in SCHEMA1:
        raise ManifestInvalid(
            "Docker image manifest schema 1 is not accepted: it was withdrawn for its security; push with a client "
            "that writes schema 2 or OCI (docker 1.10 or later)"
        )
    if len(content) > MANIFEST_LIMIT_BYTES:
        raise ManifestTooLarge(MANIFEST_LIMIT_BYTES)
    document = _decode(content)
    media_type = _choose_media_type(media_type, document)
    digest = Digest.of(content, expected.algorithm if expected is not None else "sha256")
    if media_type in INDEXES:
        return _index(document, media_type, digest, len(content))
    if media_type in IMAGE_MANIFESTS:
        return _image(document, media_type, digest, len(content))
    return _artifact(document, media_type, digest, len(content))


def _decode(content: bytes) -> _Document:
    if content.count(b"{") + content.count(b"[") > _NODE_LIMIT:  # before anything is made of them
        raise ManifestInvalid(f"the manifest holds more than {_NODE_LIMIT} objects and lists, which is not accepted")
    try:
        document = msgspec.json.decode(content, type=_Document)
        members = _read_members(content)
    except msgspec.ValidationError as error:
        raise ManifestInvalid(f"the manifest is not what its media type says: {error}") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise ManifestInvalid(f"the manifest is not valid JSON: {error}") from error
    for name in members:
        if name not in _MEMBERS and name.lower() in _MEMBERS_BY_LOWER:
            raise ManifestInvalid(f"the manifest writes {_MEMBERS_BY_LOWER[name.lower()]!r} as {name[:40]!r}")
    if document.schema_version == 1 or "fsLayers" in members:
        raise ManifestInvalid("Docker image manifest schema 1 is not accepted: push schema 2 or OCI")
    return document


def _read_members(content: bytes) -> frozenset[str]:
    """Of the document itself. Nothing of what is in it is kept: it may be hostile, and large."""
    last: list[str] = []

    def see(pairs: list[tuple[str, Any]]) -> None:
        nonlocal last
        last = [name for name, _ in pairs]
        if len(set(last)) != len(last):
            raise ManifestInvalid("the manifest holds an object with a member twice, which readers take differently")

    json.loads(content, object_pairs_hook=see)
    return frozenset(last)  # the outermost object ends last


def _choose_media_type(declared: str, document: _Document) -> str:
    """The Content-Type wins; the document's own field must agree with it (distribution-spec, Pushing Manifests)."""
    if declared in ("", "application/json", "application/octet-stream", "text/plain"):
        declared = document.media_type or (OCI_MANIFEST if document.manifests is msgspec.UNSET else OCI_INDEX)
    if declared not in MANIFESTS:
        raise ManifestInvalid(
            f"the media type {declared[:120]!r} is no manifest's; send one of {', '.join(sorted(MANIFESTS))}"
        )
    if document.media_type and document.media_type != declared:
        raise ManifestInvalid(
            f"the manifest says mediaType {document.media_type[:120]!r} and the request Content-Type {declared!r}"
        )
    return declared


def _index(document: _Document, media_type: str, digest: Digest, size: int) -> Document:
    if document.schema_version != 2 or document.manifests is msgspec.UNSET:
        raise ManifestInvalid("an index needs schemaVersion 2 and a list `manifests`")
    if document.layers is not msgspec.UNSET or document.config is not None:
        raise ManifestInvalid("an index has neither `layers` nor `config`")
    children = document.manifests or []
    return _document(
        document,
        media_type,
        digest,
        size,
        blobs=[child for child in children if not _is_manifest(child)],
        manifests=[child for child in children if _is_manifest(child)],
        image_size=size,
        artifact_type=document.artifact_type,
    )


def _is_manifest(child: _Descriptor) -> bool:
    """An index may also name other content; a child without a media type is taken for a manifest."""
    return not child.media_type or child.media_type in MANIFESTS


def _image(document: _Document, media_type: str, digest: Digest, size: int) -> Document:
    if document.schema_version != 2 or document.config is None or document.layers is msgspec.UNSET:
        raise ManifestInvalid("an image manifest needs schemaVersion 2, `config` and a list `layers`")
    if document.manifests is not msgspec.UNSET:
        raise ManifestInvalid("an image manifest has no list `manifests`")
    parts = [document.config, *(document.layers or [])]
    return _document(
        document,
        media_type,
        digest,
        size,
        blobs=parts,
        image_size=_sum_sizes(parts),
        artifact_type=document.artifact_type or document.config.media_type,
        config=document.config,
    )


def _artifact(document: _Document, media_type: str, digest: Digest, size: int) -> Document:
    assert media_type in ARTIFACT_MANIFESTS
    if document.manifests is not msgspec.UNSET or document.layers is not msgspec.UNSET or document.config is not None:
        raise ManifestInvalid("an artifact manifest has neither `manifests`, `layers` nor `config`")
    parts = [] if document.blobs is msgspec.UNSET else document.blobs or []
    return _document(
        document,
        media_type,
        digest,
        size,
        blobs=parts,
        image_size=_sum_sizes(parts),
        artifact_type=document.artifact_type,
    )


def _document(
    document: _Document,
    media_type: str,
    digest: Digest,
    size: int,
    *,
    blobs: Sequence[_Descriptor],
    manifests: Sequence[_Descriptor] = (),
    image_size: int,
    artifact_type: str | None,
    config: _Descriptor | None = None,
) -> Document:
    return Document(
        media_type=media_type,
        digest=digest,
        size=size,
        blobs=_digests([part for part in blobs if not part.urls or part is config]),
        manifests=_digests([part for part in manifests if not part.urls]),
        foreign=_digests([part for part in (*blobs, *manifests) if part.urls and part is not config]),
        subject=None if document.subject is None else _digest(document.subject),
        image_size=image_size,
        config=None if config is None else _digest(config),
        config_media_type=None if config is None else _text(config.media_type),
        artifact_type=_text(artifact_type),
    )


def _digests(parts: list[_Descriptor]) -> tuple[Digest, ...]:
    if len(parts) > _REFERENCE_LIMIT:
        raise ManifestInvalid(f"the manifest references {len(parts)} things; at most {_REFERENCE_LIMIT} are accepted")
    return tuple(dict.fromkeys(_digest(part) for part in parts))


def _digest(part: _Descriptor) -> Digest:
    if not 0 <= part.size < _SIZE_LIMIT:
        raise ManifestInvalid(f"the size {part.size} of {part.digest[:100]} is not possible")
    try:
        digest = Digest.parse(part.digest)
    except DigestInvalid as error:
        raise ManifestInvalid(error.message) from error
    if part.data and (len(part.data) != part.size or Digest.of(part.data, digest.algorithm) != digest):
        raise ManifestInvalid(f"the `data` beside {digest} is not the content of that digest and size")
    return digest


def _sum_sizes(parts: Sequence[_Descriptor]) -> int:
    total = sum(part.size for part in parts)
    if not 0 <= total < _SIZE_LIMIT:
        raise ManifestInvalid(f"the sizes in the manifest come to {total} bytes, which is not possible")
    return total


def _text(value: str | None) -> str | None:
    """What goes into a column of its own: a media type has no control characters and no more than 255 in all."""
    if value and (len(value) > _TEXT_LIMIT or not value.isprintable()):
        raise ManifestInvalid(f"{value[:60]!r} is no media type")
    return value or None


class _Platform(msgspec.Struct):
    architecture: str | None = None
    os: str | None = None


def read_platform(config: bytes) -> tuple[str | None, str | None]:
    """(architecture, os) of an image's config; None for what is not an image's config."""
    try:
        found = msgspec.json.decode(config, type=_Platform)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None, None
    return _shown(found.architecture), _shown(found.os)


def _shown(value: str | None) -> str | None:
    return value if value and value.isprintable() and len(value) <= _TEXT_LIMIT else None


class _StoredChild(msgspec.Struct):
    digest: str
    platform: Any = None


class _Stored(msgspec.Struct):
    """What is shown of a manifest that was accepted once, maybe by rules that were laxer than today's."""

    manifests: list[_StoredChild] | None = None
    annotations: dict[str, str] | None = None


def read_children(content: bytes) -> list[dict[str, Any]]:
    """The `references` of a stored index as ACR shows them: digest, architecture, os."""
    return [
        {"digest": child.digest, **_read_shown(child.platform)}
        for child in msgspec.json.decode(content, type=_Stored).manifests or []
    ]


def _read_shown(platform: Any) -> dict[str, str]:
    if not isinstance(platform, dict):
        return {}
    found = {key: cast("dict[str, Any]", platform).get(key) for key in ("architecture", "os")}
    return {key: value for key, value in found.items() if isinstance(value, str) and value}


def read_annotations(content: bytes) -> dict[str, str] | None:
    """Of a stored manifest."""
    return msgspec.json.decode(content, type=_Stored).annotations
