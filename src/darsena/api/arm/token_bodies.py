"""Bodies and views of scope maps and tokens."""

from __future__ import annotations

import msgspec

from darsena.api.arm.bodies import Body
from darsena.api.arm.views import SystemDataView, View


class ScopeMapPropertiesBody(Body, frozen=True, kw_only=True):
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    """In a PATCH null removes it."""
    actions: list[str] | None = None


class ScopeMapBody(Body, frozen=True, kw_only=True):
    """Of a PUT and of a PATCH alike."""

    properties: ScopeMapPropertiesBody | None = None


class PasswordBody(Body, frozen=True, kw_only=True):
    name: str | None = None


class CertificateBody(Body, frozen=True, kw_only=True):
    name: str | None = None
    encoded_pem_certificate: str | None = None


class CredentialsBody(Body, frozen=True, kw_only=True):
    certificates: list[CertificateBody] | None = None
    passwords: list[PasswordBody] | None = None


class TokenPropertiesBody(Body, frozen=True, kw_only=True):
    scope_map_id: str | None = None
    status: str | None = None
    credentials: CredentialsBody | None = None


class TokenBody(Body, frozen=True, kw_only=True):
    """Of a PUT and of a PATCH alike."""

    properties: TokenPropertiesBody | None = None


class GenerateCredentialsBody(Body, frozen=True, kw_only=True):
    token_id: str | None = None
    name: str | None = None
    expiry: str | None = None


class ScopeMapPropertiesView(View, frozen=True, kw_only=True):
    type: str
    creation_date: str
    provisioning_state: str
    actions: list[str]
    description: str | None = None


class ScopeMapView(View, frozen=True, kw_only=True):
    id: str
    name: str
    type: str
    system_data: SystemDataView
    properties: ScopeMapPropertiesView


class TokenPasswordView(View, frozen=True, kw_only=True):
    """`value` is there in the answer that made it and never again."""

    creation_time: str
    name: str
    expiry: str | None = None
    value: str | None = None


class TokenCertificateView(View, frozen=True, kw_only=True):
    name: str
    thumbprint: str
    expiry: str


class TokenCredentialsView(View, frozen=True, kw_only=True):
    certificates: list[TokenCertificateView]
    passwords: list[TokenPasswordView]


class TokenPropertiesView(View, frozen=True, kw_only=True):
    creation_date: str
    provisioning_state: str
    scope_map_id: str
    credentials: TokenCredentialsView
    status: str


class TokenView(View, frozen=True, kw_only=True):
    id: str
    name: str
    type: str
    system_data: SystemDataView
    properties: TokenPropertiesView


class GeneratedCredentialsView(View, frozen=True, kw_only=True):
    username: str
    passwords: list[TokenPasswordView]
