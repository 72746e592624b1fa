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
