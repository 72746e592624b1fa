"""Reading a manifest's bytes: what it is, what it references, what to show of it. The bytes stay as they are.

Sources: OCI image-spec (manifest.md, image-index.md), Docker image manifest v2 schema 2, ORAS artifact manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from darsena.core.digest import Digest
from darsena.core.errors import DigestInvalid, ManifestInvalid
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


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    urls: list[str] | None = None
    platform: dict[str, Any] | None = None


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    artifact_type: str | None = None
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None
    blobs: list[_Descriptor] | None = None
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What the registry knows from a manifest's bytes."""

    media_type: str
    digest: Digest
    size: int
    blobs: tuple[Digest, ...]
    """Config, layers, blobs that must be in the repository (none that name `urls` of their own)."""
    manifests: tuple[Digest, ...]
    """Children of an index, that must be in the repository."""
    subject: Digest | None
    image_size: int
    config: Digest | None
    config_media_type: str | None
    artifact_type: str | None
    """As the referrers API shows it: the field itself, else the config's media type of an image manifest."""
    annotations: dict[str, str] | None


def parse(content: bytes, content_type: str, expected: Digest | None = None) -> Document:
    """Raises ManifestInvalid, DigestInvalid; `expected` only chooses the algorithm of the digest."""
    media_type = content_type.partition(";")[0].strip()
    if media_type in SCHEMA1:
        raise ManifestInvalid(
            "Docker image manifest schema 1 is not accepted: it was withdrawn for its security; push with a client "
            "that writes schema 2 or OCI (docker 1.10 or later)"
        )
    if len(content) > MANIFEST_LIMIT_BYTES:
        raise ManifestInvalid(f"the manifest has {len(content)} bytes; at most {MANIFEST_LIMIT_BYTES} are accepted")
    document = _decode(content)
    media_type = _choose_media_type(media_type, document)
    digest = Digest.of(content, expected.algorithm if expected is not None else "sha256")
    if media_type in INDEXES:
        return _index(document, media_type, digest, len(content))
    return _image_or_artifact(document, media_type, digest, len(content))


def _decode(content: bytes) -> _Document:
    try:
        document = msgspec.json.decode(content, type=_Document)
    except msgspec.ValidationError as error:
        raise ManifestInvalid(f"the manifest is not what its media type says: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ManifestInvalid(f"the manifest is not valid JSON: {error}") from error
    if document.schema_version == 1:
        raise ManifestInvalid("Docker image manifest schema 1 is not accepted: push schema 2 or OCI")
    return document


def _choose_media_type(declared: str, document: _Document) -> str:
    """The Content-Type wins; the document's own field must agree with it (distribution-spec, Pushing Manifests)."""
    if declared in ("", "application/json", "application/octet-stream", "text/plain"):
        declared = document.media_type or (OCI_INDEX if document.manifests is not None else OCI_MANIFEST)
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
    if document.schema_version != 2 or document.manifests is None:
        raise ManifestInvalid("an index needs schemaVersion 2 and a list `manifests`")
    if document.layers is not None or document.config is not None:
        raise ManifestInvalid("an index has neither `layers` nor `config`")
    children = [child for child in document.manifests if not child.urls]
    return Document(
        media_type=media_type,
        digest=digest,
        size=size,
        blobs=_digests([child for child in children if not _is_manifest(child)]),
        manifests=_digests([child for child in children if _is_manifest(child)]),
        subject=_subject(document),
        image_size=size,
        config=None,
        config_media_type=None,
        artifact_type=document.artifact_type or None,
        annotations=document.annotations,
    )


def _is_manifest(child: _Descriptor) -> bool:
    """An index may also name other content; a child without a media type is taken for a manifest."""
    return not child.media_type or child.media_type in MANIFESTS


def _image_or_artifact(document: _Document, media_type: str, digest: Digest, size: int) -> Document:
    parts: list[_Descriptor]
    if media_type in IMAGE_MANIFESTS:
        if document.schema_version != 2 or document.config is None or document.layers is None:
            raise ManifestInvalid("an image manifest needs schemaVersion 2, `config` and a list `layers`")
        if document.manifests is not None:
            raise ManifestInvalid("an image manifest has no list `manifests`")
        parts = [document.config, *document.layers]
    else:
        parts = list(document.blobs or [])
    config = document.config if media_type not in ARTIFACT_MANIFESTS else None
    return Document(
        media_type=media_type,
        digest=digest,
        size=size,
        blobs=_digests([part for part in parts if not part.urls]),
        manifests=(),
        subject=_subject(document),
        image_size=sum(part.size for part in parts),
        config=None if config is None else _digest(config),
        config_media_type=None if config is None else config.media_type or None,
        artifact_type=document.artifact_type or (None if config is None else config.media_type or None),
        annotations=document.annotations,
    )


def _subject(document: _Document) -> Digest | None:
    return None if document.subject is None else _digest(document.subject)


def _digests(parts: list[_Descriptor]) -> tuple[Digest, ...]:
    if len(parts) > _REFERENCE_LIMIT:
        raise ManifestInvalid(f"the manifest references {len(parts)} things; at most {_REFERENCE_LIMIT} are accepted")
    return tuple(dict.fromkeys(_digest(part) for part in parts))


def _digest(part: _Descriptor) -> Digest:
    if not 0 <= part.size < 1 << 62:
        raise ManifestInvalid(f"the size {part.size} of {part.digest[:100]} is not possible")
    try:
        return Digest.parse(part.digest)
    except DigestInvalid as error:
        raise ManifestInvalid(error.message) from error


def read_platform(config: bytes) -> tuple[str | None, str | None]:
    """(architecture, os) of an image's config; None for what is not an image's config."""

    class Platform(msgspec.Struct):
        architecture: str | None = None
        os: str | None = None

    try:
        found = msgspec.json.decode(config, type=Platform)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None, None
    return found.architecture or None, found.os or None


def read_children(content: bytes) -> list[dict[str, Any]]:
    """The `references` of an index as ACR shows them: digest, architecture, os."""
    try:
        document = msgspec.json.decode(content, type=_Document)
    except msgspec.MsgspecError:
        return []
    return [
        {
            "digest": child.digest,
            **{key: (child.platform or {})[key] for key in ("architecture", "os") if (child.platform or {}).get(key)},
        }
        for child in document.manifests or []
    ]


def read_annotations(content: bytes) -> dict[str, str] | None:
    return msgspec.json.decode(content, type=_Document).annotations
