"""ARM resource ids. Rendered, never keys: they keep the case in which names were given and compare without it."""

from __future__ import annotations

import re

from darsena.core.errors import RequestInvalid

REGISTRY_TYPE = "Microsoft.ContainerRegistry/registries"
GROUP_TYPE = "Microsoft.Resources/resourceGroups"
IDENTITY_TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"

_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")


def subscription_path(subscription_id: str) -> str:
    return f"/subscriptions/{subscription_id}"


def group_path(subscription_id: str, group: str) -> str:
    return f"/subscriptions/{subscription_id}/resourceGroups/{group}"


def registry_path(subscription_id: str, group: str, registry: str) -> str:
    return f"{group_path(subscription_id, group)}/providers/{REGISTRY_TYPE}/{registry}"


def identity_path(subscription_id: str, group: str, identity: str) -> str:
    return f"{group_path(subscription_id, group)}/providers/{IDENTITY_TYPE}/{identity}"


def parse_subscription(text: str) -> str:
    """A subscription's GUID in lower case. Raises RequestInvalid."""
    guid = text.lower()
    if not _GUID.match(guid):
        raise RequestInvalid(
            f"The provided subscription identifier '{text[:80]}' is malformed or invalid.",
            code="InvalidSubscriptionId",
        )
    return guid
