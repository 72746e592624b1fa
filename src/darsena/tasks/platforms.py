"""Platforms in one spelling, so that what a run asks for and what an agent offers compare as texts."""

from __future__ import annotations

_SAME = {"x86": "386", "x86_64": "amd64", "aarch64": "arm64"}
_USUAL_VARIANT = {"arm": "v7"}
_ONLY_VARIANT = {"arm64": "v8", "amd64": "v1"}


def normalize_platform(text: str) -> str:
    """`linux/x86` is `linux/386`, `linux/arm` is `linux/arm/v7`, `linux/arm64/v8` is `linux/arm64`."""
    os, _, rest = text.strip().lower().partition("/")
    architecture, _, variant = rest.partition("/")
    architecture = _SAME.get(architecture, architecture) or "amd64"
    variant = variant or _USUAL_VARIANT.get(architecture, "")
    if variant == _ONLY_VARIANT.get(architecture):
        variant = ""
    return "/".join(part for part in (os, architecture, variant) if part)
