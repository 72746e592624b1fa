"""The resources that directory tokens are made for."""

from __future__ import annotations

from typing import Final

REGISTRY_AUDIENCE: Final = "https://containerregistry.azure.net"
_AZURE_ARM: Final = ("https://management.azure.com", "https://management.core.windows.net")


class Audiences:
    """`arm` and `registry`, each name with and without a slash at its end. `control_url` has none."""

    def __init__(self, control_url: str) -> None:
        self.arm = frozenset(f"{base}{slash}" for base in (control_url, *_AZURE_ARM) for slash in ("", "/"))
        self.registry = frozenset({REGISTRY_AUDIENCE, f"{REGISTRY_AUDIENCE}/"})

    def find(self, resource: str) -> str | None:
        """The resource as it was asked for, if tokens are made for it."""
        return resource if resource in self.arm or resource in self.registry else None
