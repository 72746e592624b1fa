"""Bodies and answers of the directory's administration."""

from __future__ import annotations

import msgspec

from darsena.core.clock import render_time
from darsena.identity.directory import Entry, to_key_id
from darsena.identity.directory_store import StoredPrincipal
from darsena.identity.roles import find_role


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Wire names in camel case."""


class RoleRequest(Shape, frozen=True, kw_only=True):
    role: str
    scope: str | None = None


class UserRequest(Shape, frozen=True, kw_only=True):
    user_name: str | None = None
    password: str | None = None
    display_name: str | None = None
    roles: list[RoleRequest] = []


class PasswordRequest(Shape, frozen=True, kw_only=True):
    password: str | None = None


class EnabledRequest(Shape, frozen=True, kw_only=True):
    enabled: bool | None = None


class ServicePrincipalRequest(Shape, frozen=True, kw_only=True):
    """Without `withSecret`: a secret is made unless there is a certificate."""

    display_name: str | None = None
    with_secret: bool | None = None
    secret_lifetime_seconds: int | None = None
    certificates: list[str] = []
    redirect_uris: list[str] = []
    roles: list[RoleRequest] = []


class SecretRequest(Shape, frozen=True, kw_only=True):
    secret_lifetime_seconds: int | None = None


class CertificateRequest(Shape, frozen=True, kw_only=True):
    certificate: str | None = None


class RedirectUrisRequest(Shape, frozen=True, kw_only=True):
    redirect_uris: list[str] = []


class SecretView(Shape, frozen=True, kw_only=True):
    key_id: str
    name: str
    created_at: str
    expires_at: str | None = None


class CertificateView(Shape, frozen=True, kw_only=True):
    key_id: str
    thumbprint: str
    """SHA-1, by which clients name it."""
    sha256: str
    not_before: str
    expires_at: str


class RoleView(Shape, frozen=True, kw_only=True):
    role: str
    scope: str


class PrincipalView(Shape, frozen=True, kw_only=True):
    """Named as `az ad` names them. `password`, a person's or a program's secret, is there once, when it is made."""

    id: str
    kind: str
    display_name: str
    enabled: bool
    created_at: str
    user_name: str | None = None
    app_id: str | None = None
    tenant: str | None = None
    password: str | None = None
    secrets: list[SecretView] | None = None
    certificates: list[CertificateView] | None = None
    redirect_uris: list[str] | None = None
    roles: list[RoleView] | None = None


class PrincipalListView(Shape, frozen=True, kw_only=True):
    value: list[PrincipalView]
    next_link: str | None = None


def view_principal(row: StoredPrincipal) -> PrincipalView:
    principal = row.principal
    return PrincipalView(
        id=principal.object_id,
        kind=principal.kind,
        display_name=principal.name,
        enabled=row.is_enabled,
        created_at=render_time(row.created_at),
        user_name=principal.user_name,
        app_id=principal.client_id,
    )


def view_entry(entry: Entry, *, password: str | None = None) -> PrincipalView:
    view = msgspec.structs.replace(
        view_principal(entry.stored),
        password=password,
        roles=[
            RoleView(
                role=role.name if (role := find_role(row.role_definition_id)) else row.role_definition_id,
                scope=row.scope,
            )
            for row in entry.roles
        ],
    )
    if entry.principal.kind != "service_principal":
        return view
    return msgspec.structs.replace(
        view, secrets=_secrets(entry), certificates=_certificates(entry), redirect_uris=entry.redirect_uris
    )


def _secrets(entry: Entry) -> list[SecretView]:
    return [
        SecretView(
            key_id=to_key_id(row.uid),
            name=row.slot,
            created_at=render_time(row.created_at),
            expires_at=None if row.expires_at is None else render_time(row.expires_at),
        )
        for row in entry.secrets
    ]


def _certificates(entry: Entry) -> list[CertificateView]:
    return [
        CertificateView(
            key_id=to_key_id(row.uid),
            thumbprint=row.sha1,
            sha256=row.sha256,
            not_before=render_time(row.starts_at),
            expires_at=render_time(row.expires_at),
        )
        for row in entry.certificates
    ]
