"""The directory as Microsoft Graph shows it (`/v1.0/…`): as much as `az ad sp|app|user` and `az role assignment
--assignee` ask for. The cloud's metadata names the control host as its Graph."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from darsena.api.arm.context import ArmContext, Call, make_route
from darsena.api.arm.paging import Listing, make_next_link, parse_window
from darsena.api.directory_admin import READ, WRITE, authorize
from darsena.api.graph_filters import Facts, parse_graph_filter
from darsena.api.graph_views import (
    AddPasswordBody,
    ApplicationBody,
    ApplicationView,
    GetByIdsBody,
    GraphListView,
    KeyIdBody,
    ObjectView,
    PasswordCredentialView,
    ServicePrincipalBody,
    ServicePrincipalView,
    UserBody,
    UserView,
    view_application,
    view_entry_application,
    view_entry_object,
    view_new_secret,
    view_object,
)
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.clock import parse_time
from darsena.core.errors import NotImplementedHere, RequestInvalid, ResourceUnknown
from darsena.identity.directory import ENTRA, Directory, Entry
from darsena.identity.directory_store import StoredPrincipal
from darsena.identity.model import PrincipalKind
from darsena.resources.model import Page

BASE: Final = "/v1.0"
TAG: Final = "Graph"
_MAX_IDS: Final = 1000
_PROGRAMS: Final[tuple[PrincipalKind, ...]] = ("service_principal", "managed_identity")
_APPLICATION: Final[tuple[PrincipalKind, ...]] = ("service_principal",)
_USER: Final[tuple[PrincipalKind, ...]] = ("user",)
_NO_STORE: Final = ((b"cache-control", b"no-store"),)
_READS: Final = ("getByIds", "getMemberGroups")
"""What POST asks for without changing anything."""

Handler = Callable[[Call], Awaitable[Response]]


def list_graph_routes(context: ArmContext, directory: Directory) -> list[Route]:
    edge = GraphEdge(directory)
    table: list[tuple[str, str, Handler, str, type | None, type | None]] = [
        ("GET", "me", edge.me, "Who is signed in", None, ObjectView),
        ("GET", "users", edge.list_users, "People", None, GraphListView),
        ("POST", "users", edge.create_user, "Create a user", UserBody, UserView),
        ("GET", "users/{id}", edge.get_user, "A person", None, UserView),
        ("PATCH", "users/{id}", edge.patch_user, "Change a user", UserBody, None),
        ("DELETE", "users/{id}", edge.delete_user, "Delete a user", None, None),
        ("GET", "servicePrincipals", edge.list_programs, "Service principals", None, GraphListView),
        ("POST", "servicePrincipals", edge.create_program, "The service principal of an application",
         ServicePrincipalBody, ServicePrincipalView),
        ("GET", "applications", edge.list_applications, "Applications", None, GraphListView),
        ("POST", "applications", edge.create_application, "Create an application", ApplicationBody, ApplicationView),
        ("POST", "directoryObjects/getByIds", edge.get_by_ids, "Objects by their ids", GetByIdsBody, GraphListView),
        ("POST", "users/{id}/getMemberGroups", edge.list_groups_of, "A person's groups: there are none", None,
         GraphListView),
        ("GET", "groups", edge.list_nothing, "Groups: there are none", None, GraphListView),
        ("POST", "groups", edge.refuse_group, "Create a group: not in this version", None, None),
        ("GET", "me/ownedObjects", edge.list_nothing, "Owned objects: there are none", None, GraphListView),
        ("GET", "oauth2PermissionGrants", edge.list_nothing, "Granted permissions: there are none", None,
         GraphListView),
        ("GET", "applications/{id}/federatedIdentityCredentials", edge.list_federated,
         "Federated credentials: there are none", None, GraphListView),
        ("POST", "applications/{id}/federatedIdentityCredentials", edge.refuse_federated,
         "Add a federated credential: not in this version", None, None),
    ]  # fmt: skip
    for path, get in (("applications", edge.get_application), ("servicePrincipals", edge.get_program)):
        one = f"{path}/{{id}}"
        table += [
            ("GET", one, get, "One of them", None, ObjectView),
            ("PATCH", one, edge.patch_application, "Change it", ApplicationBody, None),
            ("DELETE", one, edge.delete_application, "Delete it, application and service principal", None, None),
            ("POST", f"{one}/addPassword", edge.add_password, "Add a secret", AddPasswordBody, PasswordCredentialView),
            ("POST", f"{one}/removePassword", edge.remove_password, "Remove a secret", KeyIdBody, None),
            ("GET", f"{one}/owners", edge.list_nothing, "Owners: there are none", None, GraphListView),
        ]
    return [_route(context, *row) for row in table]


def _route(
    context: ArmContext,
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    request: type | None,
    response: type | None,
) -> Route:
    async def handle(call: Call) -> Response:
        reads = method == "GET" or path.endswith(_READS)
        if path != "me":
            await authorize(call, READ if reads else WRITE)
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


class GraphEdge:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def me(self, call: Call) -> Response:
        assert call.principal is not None, "the route is secured"
        return call.answer(view_entry_object(await self._directory.get(call.principal.object_id, ENTRA)))

    async def list_nothing(self, call: Call) -> Response:
        return call.answer(GraphListView(value=[]))

    async def refuse_group(self, _call: Call) -> Response:
        raise NotImplementedHere("Groups of people are not in this version: give each person the role.")

    async def get_by_ids(self, call: Call) -> Response:
        body = await call.request.json(GetByIdsBody)
        if len(body.ids) > _MAX_IDS:
            raise RequestInvalid(f"at most {_MAX_IDS} ids at once", "ids")
        ids = [id_.lower() for id_ in body.ids]
        found = await self._directory.list(ENTRA, object_ids=ids, limit=_MAX_IDS)
        return call.answer(GraphListView(value=[view_object(row) for row in found]))

    # --- people -----------------------------------------------------------------------------------------------------

    async def list_users(self, call: Call) -> Response:
        return await self._list(call, _USER, view_object)

    async def get_user(self, call: Call) -> Response:
        return call.answer(view_entry_object(await self._get(call, _USER)))

    async def create_user(self, call: Call) -> Response:
        body = await call.request.json(UserBody)
        _check_password_profile(body)
        password = None if body.password_profile is None else body.password_profile.password
        if not body.user_principal_name or not password:
            raise RequestInvalid("userPrincipalName and passwordProfile.password are needed", "userPrincipalName")
        entry = await self._directory.create_user(body.user_principal_name, password, name=body.display_name)
        if body.account_enabled is False:
            entry = await self._directory.set_enabled(entry.principal.object_id, _USER, False)
        return call.answer(view_entry_object(entry), 201)

    async def patch_user(self, call: Call) -> Response:
        body = await call.request.json(UserBody)
        _check_password_profile(body)
        entry = await self._get(call, _USER)
        id_ = entry.principal.object_id
        if body.user_principal_name and body.user_principal_name.lower() != entry.principal.user_name:
            raise RequestInvalid("a user's name cannot be changed: create another user", "userPrincipalName")
        if body.password_profile is not None and body.password_profile.password is not None:
            await self._directory.set_password(id_, body.password_profile.password)
        if body.display_name:
            await self._directory.rename(id_, _USER, body.display_name)
        if body.account_enabled is not None:
            await self._directory.set_enabled(id_, _USER, body.account_enabled)
        return Response(204)

    async def delete_user(self, call: Call) -> Response:
        await self._directory.delete(call.request.params["id"], _USER)
        return Response(204)

    async def list_groups_of(self, call: Call) -> Response:
        await self._get(call, _USER)
        return await self.list_nothing(call)

    # --- applications and service principals ------------------------------------------------------------------------

    async def list_programs(self, call: Call) -> Response:
        return await self._list(call, _PROGRAMS, view_object)

    async def list_applications(self, call: Call) -> Response:
        """With their credentials where a filter names one: az reads them from the list."""
        return await self._list(call, _APPLICATION, view_application)

    async def get_program(self, call: Call) -> Response:
        return call.answer(view_entry_object(await self._get(call, _PROGRAMS)))

    async def get_application(self, call: Call) -> Response:
        return call.answer(view_entry_application(await self._get(call, _APPLICATION)))

    async def list_federated(self, call: Call) -> Response:
        await self._get(call, _APPLICATION)
        return await self.list_nothing(call)

    async def refuse_federated(self, call: Call) -> Response:
        await self._get(call, _APPLICATION)
        raise NotImplementedHere("Federated credentials are not in this version: use a secret or a certificate.")

    async def create_application(self, call: Call) -> Response:
        body = await call.request.json(ApplicationBody)
        _check_permissions(body)
        if not body.display_name:
            raise RequestInvalid("displayName is needed", "displayName")
        entry, _ = await self._directory.create_service_principal(
            body.display_name,
            with_secret=False,
            certificates=[row.key for row in body.key_credentials or [] if row.key],
            redirect_uris=body.list_redirect_uris() or [],
        )
        return call.answer(view_entry_application(entry), 201)

    async def create_program(self, call: Call) -> Response:
        """That of an application, which has been there since the application was made."""
        body = await call.request.json(ServicePrincipalBody)
        try:
            entry = await self._directory.get(body.app_id or "", _APPLICATION)
        except ResourceUnknown:
            raise RequestInvalid(f"there is no application {(body.app_id or '')[:64]!r} here", "appId") from None
        return call.answer(view_entry_object(entry), 201)

    async def patch_application(self, call: Call) -> Response:
        body = await call.request.json(ApplicationBody)
        _check_permissions(body)
        entry = await self._get(call, _APPLICATION)
        id_ = entry.principal.object_id
        if body.key_credentials is not None:
            kept = {row.key_id for row in body.key_credentials if not row.key}
            await self._directory.put_certificates(
                id_, kept=[key for key in kept if key], added=[row.key for row in body.key_credentials if row.key]
            )
        uris = body.list_redirect_uris()
        if uris is not None:
            await self._directory.put_redirect_uris(id_, uris)
        if body.display_name:
            await self._directory.rename(id_, _APPLICATION, body.display_name)
        if body.account_enabled is not None:
            await self._directory.set_enabled(id_, _APPLICATION, body.account_enabled)
        return Response(204)

    async def delete_application(self, call: Call) -> Response:
        await self._directory.delete(call.request.params["id"], _APPLICATION)
        return Response(204)

    async def add_password(self, call: Call) -> Response:
        body = (await call.request.json(AddPasswordBody)).password_credential
        ends, name = None, "secret"
        if body is not None:
            ends = _read_time(body.end_date_time)
            name = body.display_name or name
        made = await self._directory.add_secret(call.request.params["id"], name, expires_at=ends)
        return call.answer(view_new_secret(made), 200, _NO_STORE)

    async def remove_password(self, call: Call) -> Response:
        body = await call.request.json(KeyIdBody)
        try:
            uid = uuid.UUID(body.key_id or "").hex
        except ValueError:
            raise RequestInvalid(f"the keyId {(body.key_id or '')[:64]!r} is no GUID", "keyId") from None
        await self._directory.remove_secret(call.request.params["id"], uid)
        return Response(204)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _get(self, call: Call, kinds: Sequence[PrincipalKind]) -> Entry:
        return await self._directory.get(call.request.params["id"], kinds)

    async def _list(
        self, call: Call, kinds: Sequence[PrincipalKind], view: Callable[[StoredPrincipal], ObjectView]
    ) -> Response:
        window, test = parse_window(call.request), parse_graph_filter(call.query_option("$filter"))

        async def fetch(after: str, limit: int) -> Page[StoredPrincipal]:
            number = int(after) if after.isascii() and after.isdigit() and len(after) < 18 else 0
            rows = await self._directory.list(kinds, after=number, limit=limit + 1)
            return Page(items=rows[:limit], next_key=str(rows[limit - 1].principal.id) if len(rows) > limit else None)

        async def keep(row: StoredPrincipal) -> bool:
            return test(_facts(row))

        page = await Listing(fetch=fetch, key=lambda row: str(row.principal.id), keep=keep).read(window)
        shown = [view(row) for row in page.items]
        if view is view_application and call.query_option("$filter"):
            shown = [view_entry_application(await self._directory.get(row.id, _APPLICATION)) for row in shown]
        return call.answer(
            GraphListView(value=shown, next_link=make_next_link(call.request, call.base_url, page.next_key))
        )


def _check_permissions(body: ApplicationBody) -> None:
    """Raises NotImplementedHere: a permission that is kept and gives nothing would be a promise."""
    if body.required_resource_access:
        raise NotImplementedHere("Permissions of applications are not in this version: assign roles.")


def _check_password_profile(body: UserBody) -> None:
    """Raises NotImplementedHere."""
    if body.password_profile is not None and body.password_profile.force_change_password_next_sign_in:
        raise NotImplementedHere(
            "Nobody is asked for a new password in this version: set one with `darsena user set-password`."
        )


def _read_time(text: str | None) -> int | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError:
        raise RequestInvalid(f"endDateTime {text!r:.80} is no time", "endDateTime") from None


def _facts(row: StoredPrincipal) -> Facts:
    principal = row.principal
    facts = {
        "id": (principal.object_id,),
        "displayname": (principal.name,),
        "accountenabled": ("true" if row.is_enabled else "false",),
    }
    if principal.client_id:
        facts |= {"appid": (principal.client_id,), "serviceprincipalnames": (principal.client_id,)}
    if principal.user_name:
        facts["userprincipalname"] = (principal.user_name,)
    return facts
