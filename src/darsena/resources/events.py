"""What the control plane tells its readers, on `subscription:<guid>`."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from darsena.journal import EventBody


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of one changed property."""

    previous: Any
    current: Any


class GroupCreated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "group.created"

    name: str
    location: str


class GroupUpdated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "group.updated"

    name: str
    changes: dict[str, Change]


class GroupDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "group.deleted"

    name: str
    location: str


class ManagedIdentityCreated(EventBody, frozen=True, kw_only=True):
    """A user-assigned one; its principal has an event of its own."""

    kind: ClassVar[str] = "managed_identity.created"

    name: str
    resource_group: str
    location: str
    object_id: str


class ManagedIdentityUpdated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "managed_identity.updated"

    name: str
    resource_group: str
    changes: dict[str, Change]


class ManagedIdentityDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "managed_identity.deleted"

    name: str
    resource_group: str
    object_id: str


class RegistryCreated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "registry.created"

    uid: str
    name: str
    resource_group: str
    location: str
    sku: str


class RegistryUpdated(EventBody, frozen=True, kw_only=True):
    """`changes` names properties as the data model does; it is empty when a request said what was so before."""

    kind: ClassVar[str] = "registry.updated"

    uid: str
    name: str
    resource_group: str
    changes: dict[str, Change]


class RegistryDeleted(EventBody, frozen=True, kw_only=True):
    """The registry's rows and key are gone; its bytes are dropped by a job."""

    kind: ClassVar[str] = "registry.deleted"

    uid: str
    name: str
    resource_group: str
    location: str


class RegistryCredentialRegenerated(EventBody, frozen=True, kw_only=True):
    """`password` is the password's name (`password` or `password2`), never its value."""

    kind: ClassVar[str] = "registry.credential_regenerated"

    uid: str
    name: str
    resource_group: str
    password: str


class ScopeMapCreated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "scope_map.created"

    resource_group: str
    registry: str
    name: str
    actions: list[str]


class ScopeMapUpdated(EventBody, frozen=True, kw_only=True):
    """Tokens that are bound to it have these actions from now on."""

    kind: ClassVar[str] = "scope_map.updated"

    resource_group: str
    registry: str
    name: str
    actions: list[str]


class ScopeMapDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "scope_map.deleted"

    resource_group: str
    registry: str
    name: str


class TokenCreated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "token.created"

    resource_group: str
    registry: str
    name: str
    scope_map: str
    enabled: bool


class TokenUpdated(EventBody, frozen=True, kw_only=True):
    """What it is now; `passwords` names those it has left."""

    kind: ClassVar[str] = "token.updated"

    resource_group: str
    registry: str
    name: str
    scope_map: str
    enabled: bool
    passwords: list[str]


class TokenPasswordsGenerated(EventBody, frozen=True, kw_only=True):
    """These passwords were made anew; the old ones, and tokens made from them, no longer hold."""

    kind: ClassVar[str] = "token.passwords_generated"

    resource_group: str
    registry: str
    name: str
    passwords: list[str]
    expires_at: int | None = None


class TokenDeleted(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "token.deleted"

    resource_group: str
    registry: str
    name: str
