"""The descriptor, the currency of OCI documents, and the platform in it (image-spec, descriptor.md, image-index.md)."""

from __future__ import annotations

from typing import Any

import msgspec


class Platform(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    architecture: str = ""
    os: str = ""
    os_version: str | None = msgspec.field(default=None, name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    media_type: str
    digest: str
    size: int
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    """Base64 of the content itself, when it is embedded."""
    artifact_type: str | None = None
    platform: Platform | None = None


JsonObject = dict[str, Any]
