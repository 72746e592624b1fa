"""What the tests of identity and of its edges share."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from darsena.identity.model import Holder, Principal, RegistryFacts, RoleAssignment
from darsena.identity.roles import Role

TENANT = "99999999-2222-4333-8444-555555555555"
SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
CONTROL_URL = "https://localhost:8443"
ARM = f"{CONTROL_URL}/"
SCOPE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SCOPE}/resourceGroups/group1"
UID = "a" * 32
OTHER_UID = "b" * 32


def make_facts(uid: str = UID, name: str = "myRegistry", **changes: Any) -> RegistryFacts:
    values: dict[str, Any] = {
        "uid": uid,
        "name": name,
        "login_server": f"{name.lower()}.azurecr.localhost:8443",
        "subscription_id": SUBSCRIPTION,
        "resource_group": "group1",
        "resource_id": f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/{name}",
        "region": "westeurope",
        "admin_enabled": True,
        **changes,
    }
    return RegistryFacts(**values)


FACTS = make_facts()
OTHER = make_facts(OTHER_UID, "otherRegistry")


def make_holder(kind: str, *roles: tuple[Role, str], registry_uid: str | None = None, enabled: bool = True) -> Holder:
    principal = Principal(id=7, object_id="o", kind=kind, name=kind, tenant_id=TENANT)  # type: ignore[arg-type]
    assignments = tuple(RoleAssignment(role.id, scope) for role, scope in roles)
    return Holder(principal=principal, enabled=enabled, registry_uid=registry_uid, assignments=assignments)


def basic(username: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{username}:{password}".encode())


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


def read_claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=dict[str, Any])


def read_header(token: str) -> dict[str, Any]:
    part = token.split(".")[0]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=dict[str, Any])
