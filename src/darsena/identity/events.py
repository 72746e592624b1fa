"""What identity tells its readers, on `subscription:<guid>`. Token issue and run credentials are not told."""

from __future__ import annotations

from typing import ClassVar

from darsena.journal import EventBody


class PrincipalCreated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "principal.created"

    object_id: str
    principal_kind: str
    name: str
    client_id: str | None = None
    registry_uid: str | None = None
    """Of an admin user: the registry it belongs to."""


class PrincipalDisabled(EventBody, frozen=True, kw_only=True):
    """Its credentials and the tokens made from them no longer hold."""

    kind: ClassVar[str] = "principal.disabled"

    object_id: str
    version: int


class PrincipalEnabled(EventBody, frozen=True, kw_only=True):
    """Its credentials hold again; tokens from before it was disabled do not."""

    kind: ClassVar[str] = "principal.enabled"

    object_id: str
    version: int


class CredentialReset(EventBody, frozen=True, kw_only=True):
    """A secret was made anew; the old one and the tokens made from it no longer hold."""

    kind: ClassVar[str] = "credential.reset"

    object_id: str
    slot: str
    expires_at: int | None = None


class RoleAssigned(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "role.assigned"

    id: str
    object_id: str
    role_definition_id: str
    scope: str
    condition: str | None = None


class RoleUnassigned(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "role.unassigned"

    id: str
    object_id: str
    role_definition_id: str
    scope: str
