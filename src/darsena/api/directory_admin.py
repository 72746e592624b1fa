"""The directory's people and service principals, for `darsena user` and `darsena sp`.

Who may assign roles at the subscription may change the directory: a new secret for an owner is as good as the role.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.paging import make_next_link, parse_window
from darsena.api.directory_views import (
    CertificateRequest,
    EnabledRequest,
    PasswordRequest,
    PrincipalListView,
    PrincipalView,
    RedirectUrisRequest,
    RoleRequest,
    SecretRequest,
    ServicePrincipalRequest,
    UserRequest,
    view_entry,
    view_principal,
)
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import RequestInvalid, ResourceUnknown, Unauthenticated
from darsena.identity.directory import Directory, RoleGrant
from darsena.identity.model import PrincipalKind
from darsena.identity.principal_keys import NewSecret
from darsena.identity.role_service import FindScope
from darsena.identity.roles import BUILT_IN, Role, find_role
from darsena.resources.ids import REGISTRY_TYPE, subscription_path

BASE: Final = "/darsena/v1/admin"
TAG: Final = "Directory administration"
READ: Final = "Microsoft.Authorization/roleAssignments/read"
_NO_STORE: Final = ((b"cache-control", b"no-store"),)
WRITE: Final = "Microsoft.Authorization/roleAssignments/write"
_SCOPE: Final = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)(?:/resourcegroups/(?P<group>[^/]+)"
    rf"(?:/providers/{re.escape(REGISTRY_TYPE)}/(?P<registry>[^/]+))?)?/?\Z",
    re.IGNORECASE,
)

Handler = Callable[[Call], Awaitable[Response]]


def list_directory_routes(context: ArmContext, directory: Directory) -> list[Route]:
    users = _Admin(context, directory, "user", "users")
    programs = _Admin(context, directory, "service_principal", "service-principals")
    own = _ServicePrincipals(context, directory)
    one, view = "service-principals/{name}", PrincipalView
    return [
        *users.list_routes("people", "A person"),
        *programs.list_routes("service principals", "A service principal"),
        _route(context, "POST", "users", _UserRoutes(context, directory).create, "Create a user", view, UserRequest),
        _route(context, "POST", "users/{name}/password", _UserRoutes(context, directory).set_password,
               "Set a user's password", view, PasswordRequest),
        _route(context, "POST", "service-principals", own.create, "Create a service principal", view,
               ServicePrincipalRequest),
        _route(context, "POST", f"{one}/secret", own.reset_secret, "Replace all secrets by a new one", view,
               SecretRequest),
        _route(context, "POST", f"{one}/certificates", own.add_certificate, "Add a certificate", view,
               CertificateRequest),
        _route(context, "DELETE", f"{one}/certificates/{{key}}", own.remove_certificate, "Remove a certificate"),
        _route(context, "PUT", f"{one}/redirectUris", own.put_redirect_uris, "Set where sign-ins may be answered", view,
               RedirectUrisRequest),
    ]  # fmt: skip


def _route(
    context: ArmContext,
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    response: type | None = None,
    request: type | None = None,
) -> Route:
    async def handle(call: Call) -> Response:
        await authorize(call, READ if method == "GET" else WRITE)
        return await handler(call)

    return make_route(
        context,
        method,
        f"{BASE}/{path}",
        handle,
        summary=summary,
        request=request,
        response=response,
        tag=TAG,
        versioned=False,
    )


async def authorize(call: Call, action: str) -> None:
    """At the subscription, which the directory belongs to."""
    if call.principal is None:
        raise Unauthenticated("Authentication failed. The 'Authorization' header is missing.")
    await call.context.gate.authorize_arm(call.principal, action, subscription_path(call.subscription_id))


class _Admin:
    """What both kinds have in common."""

    def __init__(self, context: ArmContext, directory: Directory, kind: PrincipalKind, path: str) -> None:
        self._context = context
        self._directory = directory
        self._kinds: Sequence[PrincipalKind] = (kind,)
        self._path = path

    def list_routes(self, many: str, one: str) -> list[Route]:
        context, path = self._context, f"{self._path}/{{name}}"
        return [
            _route(context, "GET", self._path, self.list, f"The directory's {many}", PrincipalListView),
            _route(context, "GET", path, self.get, one, PrincipalView),
            _route(context, "DELETE", path, self.delete, f"{one}: delete it with all that it holds"),
            _route(
                context, "PATCH", path, self.set_enabled, f"{one}: enable or disable", PrincipalView, EnabledRequest
            ),
        ]

    async def list(self, call: Call) -> Response:
        window = parse_window(call.request)
        after = int(window.after) if window.after.isascii() and window.after.isdigit() and len(window.after) < 18 else 0
        found = await self._directory.list(self._kinds, after=after, limit=window.top + 1)
        shown = found[: window.top]
        following = str(shown[-1].principal.id) if len(found) > window.top else None
        link = make_next_link(call.request, call.base_url, following)
        return call.answer(PrincipalListView(value=[view_principal(row) for row in shown], next_link=link))

    async def get(self, call: Call) -> Response:
        return call.answer(view_entry(await self._directory.get(call.request.params["name"], self._kinds)))

    async def delete(self, call: Call) -> Response:
        await self._directory.delete(call.request.params["name"], self._kinds)
        return Response(204)

    async def set_enabled(self, call: Call) -> Response:
        body = await call.request.json(EnabledRequest)
        if body.enabled is None:
            raise RequestInvalid("the member 'enabled' is missing: true or false", "enabled")
        entry = await self._directory.set_enabled(call.request.params["name"], self._kinds, body.enabled)
        return call.answer(view_entry(entry))


class _UserRoutes:
    def __init__(self, context: ArmContext, directory: Directory) -> None:
        self._context = context
        self._directory = directory

    async def create(self, call: Call) -> Response:
        """Without a password one is made and shown this once."""
        body = await call.request.json(UserRequest)
        if not body.user_name:
            raise RequestInvalid("the member 'userName' is missing", "userName")
        made = None if body.password is not None else make_password()
        entry = await self._directory.create_user(
            body.user_name, body.password or made or "", name=body.display_name, roles=read_roles(call, body.roles)
        )
        return call.answer(view_entry(entry, password=made), 201, _NO_STORE)

    async def set_password(self, call: Call) -> Response:
        body = await call.request.json(PasswordRequest)
        made = None if body.password is not None else make_password()
        entry = await self._directory.set_password(call.request.params["name"], body.password or made or "")
        return call.answer(view_entry(entry, password=made), 200, _NO_STORE)


class _ServicePrincipals:
    def __init__(self, context: ArmContext, directory: Directory) -> None:
        self._context = context
        self._directory = directory

    async def create(self, call: Call) -> Response:
        body = await call.request.json(ServicePrincipalRequest)
        if not body.display_name:
            raise RequestInvalid("the member 'displayName' is missing", "displayName")
        with_secret = not body.certificates if body.with_secret is None else body.with_secret
        entry, secret = await self._directory.create_service_principal(
            body.display_name,
            secret_lifetime_s=body.secret_lifetime_seconds,
            with_secret=with_secret,
            certificates=body.certificates,
            redirect_uris=body.redirect_uris,
            roles=read_roles(call, body.roles),
        )
        return self._answer(call, view_entry(entry), secret, 201)

    async def reset_secret(self, call: Call) -> Response:
        body = await call.request.json(SecretRequest)
        entry, secret = await self._directory.reset_secret(
            call.request.params["name"], secret_lifetime_s=body.secret_lifetime_seconds
        )
        return self._answer(call, view_entry(entry), secret)

    async def add_certificate(self, call: Call) -> Response:
        body = await call.request.json(CertificateRequest)
        await self._directory.add_certificate(call.request.params["name"], body.certificate or "")
        return await self._show(call)

    async def remove_certificate(self, call: Call) -> Response:
        await self._directory.remove_certificate(call.request.params["name"], call.request.params["key"])
        return Response(204)

    async def put_redirect_uris(self, call: Call) -> Response:
        body = await call.request.json(RedirectUrisRequest)
        await self._directory.put_redirect_uris(call.request.params["name"], body.redirect_uris)
        return await self._show(call)

    async def _show(self, call: Call) -> Response:
        return call.answer(view_entry(await self._directory.get(call.request.params["name"], ("service_principal",))))

    def _answer(self, call: Call, view: PrincipalView, secret: NewSecret | None, status: int = 200) -> Response:
        """With the secret, the only time that it is shown."""
        if secret is not None:
            view = msgspec.structs.replace(view, password=secret.value, tenant=self._context.tenant_id)
        return call.answer(view, status, _NO_STORE)


def make_password() -> str:
    """Four groups of five letters and digits: 100 bits that a person can type."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def read_roles(call: Call, requests: Sequence[RoleRequest]) -> list[RoleGrant]:
    """By name or GUID, at a scope that is the subscription where none is named. Raises RequestInvalid."""
    return [RoleGrant(_read_role(request.role).id, _find_scope(call, request.scope)) for request in requests]


def _read_role(text: str) -> Role:
    found = find_role(text) or next((role for role in BUILT_IN if role.name.lower() == text.lower()), None)
    if found is None:
        names = ", ".join(role.name for role in BUILT_IN)
        raise RequestInvalid(
            f"there is no role {text[:80]!r}; there are: {names}", "roles", code="RoleDefinitionDoesNotExist"
        )
    return found


def _find_scope(call: Call, text: str | None) -> FindScope:
    match = _SCOPE.match(text or subscription_path(call.subscription_id))
    if match is None:
        raise RequestInvalid(
            f"the scope {(text or '')[:200]!r} is none of a subscription, a resource group and a registry", "roles"
        )
    if match["subscription"].lower() != call.subscription_id.lower():
        raise ResourceUnknown(
            f"The subscription '{match['subscription'][:40]}' could not be found.", code="SubscriptionNotFound"
        )
    resources, subscription = call.context.resources, call.subscription_id
    group, registry = match["group"], match["registry"]
    return lambda tx: resources.find_scope(tx, subscription, group, registry)
