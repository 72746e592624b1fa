"""Bodies and answers of the directory in Microsoft Graph's shapes, as far as `az ad` and role assignments read them.

An application and its service principal are one thing here. The application's id is the client id, the service
principal's is the object id.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from darsena.core.clock import render_time
from darsena.identity.directory import Entry, to_key_id
from darsena.identity.directory_store import StoredPrincipal
from darsena.identity.principal_keys import NewSecret

APPLICATION = "#microsoft.graph.application"
SERVICE_PRINCIPAL = "#microsoft.graph.servicePrincipal"
USER = "#microsoft.graph.user"


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Wire names in camel case; members that are null are sent as null, as Graph does."""


class KeyCredentialBody(Shape, frozen=True, kw_only=True):
    key: str | None = None
    key_id: str | None = None


class WebBody(Shape, frozen=True, kw_only=True):
    redirect_uris: list[str] | None = None


class ApplicationBody(Shape, frozen=True, kw_only=True):
    """Of a POST and of a PATCH; what else an application may say has no meaning here."""

    display_name: str | None = None
    account_enabled: bool | None = None
    key_credentials: list[KeyCredentialBody] | None = None
    web: WebBody | None = None
    public_client: WebBody | None = None
    required_resource_access: list[Any] | None = None

    def list_redirect_uris(self) -> list[str] | None:
        """None when nothing is said of them."""
        named = [part.redirect_uris for part in (self.web, self.public_client) if part is not None]
        known = [uris for uris in named if uris is not None]
        return [uri for uris in known for uri in uris] if known else None


class ServicePrincipalBody(Shape, frozen=True, kw_only=True):
    app_id: str | None = None


class PasswordCredentialBody(Shape, frozen=True, kw_only=True):
    display_name: str | None = None
    end_date_time: str | None = None


class AddPasswordBody(Shape, frozen=True, kw_only=True):
    password_credential: PasswordCredentialBody | None = None


class KeyIdBody(Shape, frozen=True, kw_only=True):
    key_id: str | None = None


class PasswordProfileBody(Shape, frozen=True, kw_only=True):
    password: str | None = None
    force_change_password_next_sign_in: bool | None = None


class UserBody(Shape, frozen=True, kw_only=True):
    display_name: str | None = None
    user_principal_name: str | None = None
    account_enabled: bool | None = None
    password_profile: PasswordProfileBody | None = None


class GetByIdsBody(Shape, frozen=True, kw_only=True):
    ids: list[str] = []
    types: list[str] | None = None


class PasswordCredentialView(Shape, frozen=True, kw_only=True):
    """`secretText` is there once, when it is made."""

    key_id: str
    display_name: str | None
    start_date_time: str
    end_date_time: str | None
    secret_text: str | None = None


class KeyCredentialView(Shape, frozen=True, kw_only=True):
    key_id: str
    custom_key_identifier: str
    start_date_time: str
    end_date_time: str
    type: str = "AsymmetricX509Cert"
    usage: str = "Verify"
    key: None = None
    display_name: None = None


class ObjectView(Shape, frozen=True, kw_only=True):
    odata_type: str = msgspec.field(name="@odata.type")
    id: str
    display_name: str


class ApplicationView(ObjectView, frozen=True, kw_only=True):
    app_id: str
    created_date_time: str
    sign_in_audience: str = "AzureADMyOrg"
    identifier_uris: list[str] = []
    password_credentials: list[PasswordCredentialView] = []
    key_credentials: list[KeyCredentialView] = []
    required_resource_access: list[Any] = []
    web: dict[str, list[str]] = {}


class ServicePrincipalView(ObjectView, frozen=True, kw_only=True):
    app_id: str
    app_display_name: str
    account_enabled: bool
    service_principal_type: str
    service_principal_names: list[str]
    app_owner_organization_id: str
    created_date_time: str
    password_credentials: list[PasswordCredentialView] = []
    key_credentials: list[KeyCredentialView] = []


class UserView(ObjectView, frozen=True, kw_only=True):
    user_principal_name: str
    account_enabled: bool
    created_date_time: str
    mail: None = None
    user_type: str = "Member"


class GraphListView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    value: list[Any]
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)


def view_object(row: StoredPrincipal) -> ObjectView:
    """As lists show it: what a principal signs in with is not among it."""
    principal = row.principal
    if principal.kind == "user":
        return UserView(
            odata_type=USER,
            id=principal.object_id,
            display_name=principal.name,
            user_principal_name=principal.user_name or "",
            account_enabled=row.is_enabled,
            created_date_time=render_time(row.created_at),
        )
    client_id = principal.client_id or ""
    return ServicePrincipalView(
        odata_type=SERVICE_PRINCIPAL,
        id=principal.object_id,
        display_name=principal.name,
        app_id=client_id,
        app_display_name=principal.name,
        account_enabled=row.is_enabled,
        service_principal_type="Application" if principal.kind == "service_principal" else "ManagedIdentity",
        service_principal_names=[client_id],
        app_owner_organization_id=principal.tenant_id,
        created_date_time=render_time(row.created_at),
    )


def view_application(row: StoredPrincipal) -> ApplicationView:
    client_id = row.principal.client_id or ""
    return ApplicationView(
        odata_type=APPLICATION,
        id=client_id,
        display_name=row.principal.name,
        app_id=client_id,
        created_date_time=render_time(row.created_at),
        web={"redirectUris": []},
    )


def view_entry_object(entry: Entry) -> ObjectView:
    view = view_object(entry.stored)
    if not isinstance(view, ServicePrincipalView):
        return view
    return msgspec.structs.replace(view, password_credentials=_passwords(entry), key_credentials=_keys(entry))


def view_entry_application(entry: Entry) -> ApplicationView:
    return msgspec.structs.replace(
        view_application(entry.stored),
        password_credentials=_passwords(entry),
        key_credentials=_keys(entry),
        web={"redirectUris": entry.redirect_uris},
    )


def view_new_secret(made: NewSecret) -> PasswordCredentialView:
    return PasswordCredentialView(
        key_id=to_key_id(made.uid),
        display_name=made.slot,
        start_date_time=render_time(made.created_at),
        end_date_time=None if made.expires_at is None else render_time(made.expires_at),
        secret_text=made.value,
    )


def _passwords(entry: Entry) -> list[PasswordCredentialView]:
    return [
        PasswordCredentialView(
            key_id=to_key_id(row.uid),
            display_name=row.slot,
            start_date_time=render_time(row.created_at),
            end_date_time=None if row.expires_at is None else render_time(row.expires_at),
        )
        for row in entry.secrets
    ]


def _keys(entry: Entry) -> list[KeyCredentialView]:
    return [
        KeyCredentialView(
            key_id=to_key_id(row.uid),
            custom_key_identifier=base64.b64encode(bytes.fromhex(row.sha1)).decode(),
            start_date_time=render_time(row.starts_at),
            end_date_time=render_time(row.expires_at),
        )
        for row in entry.certificates
    ]
