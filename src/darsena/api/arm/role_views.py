"""Role assignments and definitions on the wire."""

from __future__ import annotations

from darsena.api.arm.bodies import Body
from darsena.api.arm.views import View
from darsena.core.clock import render_time
from darsena.identity.role_service import PRINCIPAL_TYPES
from darsena.identity.roles import Role
from darsena.identity.store import StoredAssignment
from darsena.resources.ids import subscription_path

_DEFINED = "2015-02-02T21:55:09.8806423Z"
"""When roles were defined: a date that clients show and nothing depends on."""


class RoleAssignmentPropertiesBody(Body, frozen=True, kw_only=True):
    role_definition_id: str | None = None
    principal_id: str | None = None
    principal_type: str | None = None
    description: str | None = None
    condition: str | None = None
    condition_version: str | None = None


class RoleAssignmentBody(Body, frozen=True, kw_only=True):
    properties: RoleAssignmentPropertiesBody | None = None


class RoleAssignmentPropertiesView(View, frozen=True, kw_only=True):
    role_definition_id: str
    principal_id: str
    principal_type: str
    scope: str
    description: str | None = None
    condition: str | None = None
    condition_version: str | None = None
    created_on: str
    updated_on: str
    created_by: str
    updated_by: str


class RoleAssignmentView(View, frozen=True, kw_only=True):
    id: str
    type: str
    name: str
    properties: RoleAssignmentPropertiesView


class PermissionView(View, frozen=True, kw_only=True):
    actions: list[str]
    not_actions: list[str]
    data_actions: list[str]
    not_data_actions: list[str]


class RoleDefinitionPropertiesView(View, frozen=True, kw_only=True):
    role_name: str
    type: str
    description: str
    assignable_scopes: list[str]
    permissions: list[PermissionView]
    created_on: str
    updated_on: str
    created_by: str
    updated_by: str


class RoleDefinitionView(View, frozen=True, kw_only=True):
    id: str
    type: str
    name: str
    properties: RoleDefinitionPropertiesView


def assignment_view(row: StoredAssignment, subscription_id: str) -> RoleAssignmentView:
    return RoleAssignmentView(
        id=f"{row.scope}/providers/Microsoft.Authorization/roleAssignments/{row.id}",
        type="Microsoft.Authorization/roleAssignments",
        name=row.id,
        properties=RoleAssignmentPropertiesView(
            role_definition_id=definition_path(subscription_id, row.role_definition_id),
            principal_id=row.object_id,
            principal_type=PRINCIPAL_TYPES[row.principal_kind],
            scope=row.scope,
            description=row.description,
            condition=row.condition,
            condition_version=row.condition_version,
            created_on=render_time(row.created_at),
            updated_on=render_time(row.created_at if row.updated_at is None else row.updated_at),
            created_by=_object_id(row.created_by),
            updated_by=_object_id(row.created_by if row.updated_by is None else row.updated_by),
        ),
    )


def definition_view(role: Role, subscription_id: str) -> RoleDefinitionView:
    return RoleDefinitionView(
        id=definition_path(subscription_id, role.id),
        type="Microsoft.Authorization/roleDefinitions",
        name=role.id,
        properties=RoleDefinitionPropertiesView(
            role_name=role.name,
            type="BuiltInRole",
            description=role.description,
            assignable_scopes=["/"],
            permissions=[
                PermissionView(
                    actions=list(role.actions),
                    not_actions=list(role.not_actions),
                    data_actions=list(role.data_actions),
                    not_data_actions=[],
                )
            ],
            created_on=_DEFINED,
            updated_on=_DEFINED,
            created_by="",
            updated_by="",
        ),
    )


def definition_path(subscription_id: str, role_definition_id: str) -> str:
    base = subscription_path(subscription_id)
    return f"{base}/providers/Microsoft.Authorization/roleDefinitions/{role_definition_id}"


def _object_id(actor: str) -> str:
    """Of `<kind>:<object id>`; empty for the server itself."""
    return actor.partition(":")[2]
