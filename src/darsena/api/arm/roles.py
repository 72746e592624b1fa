"""Microsoft.Authorization: role assignments at a subscription, a group or a registry, and the built-in roles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from darsena.api.arm.context import ArmContext, Call, Handler, make_route
from darsena.api.arm.role_filters import parse_assignment_filter, parse_definition_filter
from darsena.api.arm.role_views import (
    RoleAssignmentBody,
    RoleAssignmentView,
    RoleDefinitionView,
    assignment_view,
    definition_view,
)
from darsena.api.arm.views import ListView
from darsena.api.http import Response
from darsena.api.router import Route
from darsena.core.errors import NotImplementedHere, RequestInvalid, ResourceUnknown
from darsena.db import Tx
from darsena.identity.role_service import RoleRequest, RoleService
from darsena.identity.roles import BUILT_IN, find_role
from darsena.resources.ids import registry_path

TAG = "Authorization"
NAMESPACE = "Microsoft.Authorization"
ASSIGNMENTS = f"{NAMESPACE}/roleAssignments"
DEFINITIONS = f"{NAMESPACE}/roleDefinitions"
SCOPES = (
    "/subscriptions/{subscription}",
    "/subscriptions/{subscription}/resourceGroups/{group}",
    registry_path("{subscription}", "{group}", "{registry}"),
)
_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")


def list_role_routes(context: ArmContext, roles: RoleService) -> list[Route]:
    edge = RoleEdge(roles)
    routes = [route for scope in SCOPES for route in _routes(context, edge, scope)]
    one, many = RoleDefinitionView, ListView[RoleDefinitionView]
    base = f"/providers/{DEFINITIONS}"
    return [
        *routes,
        make_route(context, "GET", base, edge.list_definitions, summary="Built-in roles", response=many, tag=TAG),
        make_route(context, "GET", f"{base}/{{definition}}", edge.get_definition, summary="A built-in role",
                   response=one, tag=TAG),
    ]  # fmt: skip


def _routes(context: ArmContext, edge: RoleEdge, scope: str) -> list[Route]:
    where = {1: "a subscription", 2: "a resource group", 3: "a registry"}[scope.count("{")]

    def route(
        method: str, path: str, handler: Handler, summary: str, verb: str, response: Any = None, request: Any = None
    ) -> Route:
        kind = path.partition("/{")[0]
        return make_route(
            context,
            method,
            f"{scope}/providers/{path}",
            handler,
            summary=f"{summary} {where}",
            action=f"{kind}/{verb}",
            request=request,
            response=response,
            tag=TAG,
        )

    one, definition = f"{ASSIGNMENTS}/{{assignment}}", f"{DEFINITIONS}/{{definition}}"
    view, role = RoleAssignmentView, RoleDefinitionView
    return [
        route("GET", ASSIGNMENTS, edge.list, "Role assignments of", "read", ListView[view]),
        route("PUT", one, edge.put, "Assign a role on", "write", view, RoleAssignmentBody),
        route("GET", one, edge.get, "A role assignment of", "read", view),
        route("DELETE", one, edge.delete, "Remove a role assignment of", "delete", view),
        route("GET", DEFINITIONS, edge.list_definitions, "Roles that can be assigned on", "read", ListView[role]),
        route("GET", definition, edge.get_definition, "A role that can be assigned on", "read", role),
        route("PUT", definition, edge.refuse_definition, "Make a role of your own for", "write", role),
        route("DELETE", definition, edge.delete_definition, "Delete a role of your own of", "delete"),
    ]


class RoleEdge:
    def __init__(self, roles: RoleService) -> None:
        self._roles = roles

    # --- assignments ------------------------------------------------------------------------------------------------

    async def put(self, call: Call) -> Response:
        body = await call.request.json(RoleAssignmentBody)
        made, is_new = await self._roles.put(_read_request(call, body), _make_find_scope(call))
        return call.answer(assignment_view(made, call.subscription_id), 201 if is_new else 200)

    async def get(self, call: Call) -> Response:
        id_ = _assignment_id(call)
        found = await self._roles.find(id_, call.scope)
        if found is None:
            raise ResourceUnknown(f"The role assignment '{id_}' is not found.", code="RoleAssignmentNotFound")
        return call.answer(assignment_view(found, call.subscription_id))

    async def delete(self, call: Call) -> Response:
        """What was removed; 204 when there was nothing."""
        removed = await self._roles.remove(_assignment_id(call), call.scope)
        return Response(204) if removed is None else call.answer(assignment_view(removed, call.subscription_id))

    async def list(self, call: Call) -> Response:
        wanted = parse_assignment_filter(call.query_option("$filter"))
        await call.context.resources.check_scope(*_names(call))
        found = await self._roles.list_around(call.scope, with_below=not wanted.at_scope, object_id=wanted.object_id)
        return call.answer(ListView(value=[assignment_view(row, call.subscription_id) for row in found]))

    # --- definitions ------------------------------------------------------------------------------------------------

    async def list_definitions(self, call: Call) -> Response:
        wanted = parse_definition_filter(call.query_option("$filter"))
        found = [role for role in BUILT_IN if wanted(role)]
        return call.answer(ListView(value=[definition_view(role, call.subscription_id) for role in found]))

    async def get_definition(self, call: Call) -> Response:
        id_ = call.request.params["definition"]
        role = find_role(id_)
        if role is None:
            raise ResourceUnknown(
                f"The specified role definition with ID '{id_[:64]}' does not exist.", code="RoleDefinitionDoesNotExist"
            )
        return call.answer(definition_view(role, call.subscription_id))

    async def refuse_definition(self, _call: Call) -> Response:
        raise NotImplementedHere("Roles of your own are not in this version: assign one of the built-in roles.")

    async def delete_definition(self, call: Call) -> Response:
        if find_role(call.request.params["definition"]) is not None:
            raise RequestInvalid("A built-in role cannot be deleted.", code="RoleDefinitionCannotBeDeleted")
        return Response(204)


def _names(call: Call) -> tuple[str, str | None, str | None]:
    """(subscription, group, registry), as far as the path names them."""
    return call.subscription_id, call.request.params.get("group"), call.request.params.get("registry")


def _make_find_scope(call: Call) -> Callable[[Tx], str]:
    resources, names = call.context.resources, _names(call)
    return lambda tx: resources.find_scope(tx, *names)


def _assignment_id(call: Call) -> str:
    id_ = call.request.params["assignment"]
    if not _GUID.match(id_):
        raise RequestInvalid(
            f"The role assignment ID '{id_[:64]}' is not valid. The role assignment ID must be a GUID.",
            code="InvalidRoleAssignmentId",
        )
    return id_.lower()


def _read_request(call: Call, body: RoleAssignmentBody) -> RoleRequest:
    values = body.properties
    id_ = _assignment_id(call)
    if values is None or values.role_definition_id is None or values.principal_id is None:
        raise RequestInvalid(
            "The properties 'roleDefinitionId' and 'principalId' are required.", "properties", code="BadRequestFormat"
        )
    if not _GUID.match(values.principal_id):
        raise RequestInvalid(
            f"The principal ID '{values.principal_id[:64]}' is not valid. Principal ID must be a GUID.",
            "properties.principalId",
            code="InvalidPrincipalId",
        )
    return RoleRequest(
        id=id_,
        object_id=values.principal_id,
        role_definition_id=values.role_definition_id,
        principal_type=values.principal_type or None,
        condition=values.condition or None,
        condition_version=values.condition_version or None,
        description=values.description,
    )
