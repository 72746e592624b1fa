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


class PrincipalRenamed(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "principal.renamed"

    object_id: str
    name: str


class PrincipalDeleted(EventBody, frozen=True, kw_only=True):
    """With its secrets, certificates and roles."""

    kind: ClassVar[str] = "principal.deleted"

    object_id: str
    principal_kind: str
    name: str


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


class CredentialRemoved(EventBody, frozen=True, kw_only=True):
    """One secret of several; tokens made from it no longer hold."""

    kind: ClassVar[str] = "credential.removed"

    object_id: str
    key_id: str


class CertificateAdded(EventBody, frozen=True, kw_only=True):
    """A service principal may sign in with the key of this certificate."""

    kind: ClassVar[str] = "certificate.added"

    object_id: str
    thumbprint: str
    expires_at: int


class CertificateRemoved(EventBody, frozen=True, kw_only=True):
    """Tokens made with it no longer hold."""

    kind: ClassVar[str] = "certificate.removed"

    object_id: str
    thumbprint: str


class RedirectUrisChanged(EventBody, frozen=True, kw_only=True):
    """Where a service principal's sign-ins may be answered: all of them."""

    kind: ClassVar[str] = "redirect_uris.changed"

    object_id: str
    redirect_uris: list[str]


class RoleAssigned(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "role.assigned"

    id: str
    object_id: str
    role_definition_id: str
    scope: str
    condition: str | None = None


class RoleAssignmentUpdated(EventBody, frozen=True, kw_only=True):
    """Its condition or description; nothing else of an assignment changes."""

    kind: ClassVar[str] = "role.assignment_updated"

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
