"""Role assignments, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from darsena.core.errors import Conflict, RequestInvalid, ResourceUnknown
from darsena.core.ids import new_guid
from darsena.db import Tx
from darsena.identity import store
from darsena.identity.conditions import VERSION, parse_condition
from darsena.identity.events import RoleAssigned, RoleAssignmentUpdated, RoleUnassigned
from darsena.identity.model import Principal
from darsena.identity.roles import Role, find_role
from darsena.identity.store import StoredAssignment


class Assignments:
    """`on_changed` is called after the commit."""

    def __init__(self, stream: str, *, on_changed: Callable[[], None]) -> None:
        self._stream = stream
        self._on_changed = on_changed

    def assign(
        self,
        tx: Tx,
        object_id: str,
        role_definition_id: str,
        scope: str,
        *,
        id_: str | None = None,
        condition: str | None = None,
        condition_version: str | None = None,
        description: str | None = None,
    ) -> StoredAssignment:
        """Raises Conflict (RoleAssignmentExists) when the principal holds the role at this scope already."""
        role = get_role(role_definition_id)
        principal = _get_holder(tx, object_id)
        _check_condition(condition, condition_version)
        assignment = StoredAssignment(
            id=(id_ or new_guid()).lower(),
            scope=scope.rstrip("/"),
            object_id=principal.object_id,
            principal_kind=principal.kind,
            role_definition_id=role.id,
            condition=condition,
            condition_version=condition_version,
            description=description,
            created_by=tx.actor,
            created_at=tx.now_us,
        )
        if not store.insert_assignment(tx, principal.id, assignment):
            there = store.find_same_assignment(tx, principal.id, role.id, assignment.scope)
            known = "" if there is None else f" The ID of the existing role assignment is {there.id.replace('-', '')}."
            raise Conflict(f"The role assignment already exists.{known}", code="RoleAssignmentExists")
        event = RoleAssigned(
            id=assignment.id,
            object_id=principal.object_id,
            role_definition_id=role.id,
            scope=assignment.scope,
            condition=condition,
        )
        tx.emit(self._stream, event)
        tx.after_commit(self._on_changed)
        return assignment

    def change(
        self,
        tx: Tx,
        found: StoredAssignment,
        *,
        condition: str | None,
        condition_version: str | None,
        description: str | None,
    ) -> StoredAssignment:
        """The same assignment under another condition, or with another description. No change: no event."""
        _check_condition(condition, condition_version)
        wanted = replace(found, condition=condition, condition_version=condition_version, description=description)
        if wanted == found:
            return found
        changed = replace(wanted, updated_by=tx.actor, updated_at=tx.now_us)
        store.update_assignment(tx, changed)
        event = RoleAssignmentUpdated(
            id=found.id,
            object_id=found.object_id,
            role_definition_id=found.role_definition_id,
            scope=found.scope,
            condition=condition,
        )
        tx.emit(self._stream, event)
        tx.after_commit(self._on_changed)
        return changed

    def remove(self, tx: Tx, id_: str) -> StoredAssignment | None:
        """Returns what was removed; None and no event when there was nothing."""
        found = store.find_assignment(tx, id_.lower())
        if found is not None:
            self._remove(tx, found)
        return found

    def forget_scope(self, tx: Tx, scope: str) -> None:
        """Remove what is held at this ARM id and below it."""
        for assignment in store.list_assignments(tx, below=scope):
            self._remove(tx, assignment)

    def _remove(self, tx: Tx, assignment: StoredAssignment) -> None:
        store.delete_assignment(tx, assignment.id)
        event = RoleUnassigned(
            id=assignment.id,
            object_id=assignment.object_id,
            role_definition_id=assignment.role_definition_id,
            scope=assignment.scope,
        )
        tx.emit(self._stream, event)
        tx.after_commit(self._on_changed)


def get_role(role_definition_id: str) -> Role:
    """By GUID, or by an ARM id that ends in it. Raises RequestInvalid."""
    role = find_role(role_definition_id)
    if role is None:
        raise RequestInvalid(
            f"The specified role definition with ID '{role_definition_id.rpartition('/')[2][:64]}' does not exist.",
            "properties.roleDefinitionId",
            code="RoleDefinitionDoesNotExist",
        )
    return role


def _get_holder(tx: Tx, object_id: str) -> Principal:
    """One of the directory. Raises RequestInvalid (PrincipalNotFound): to whom a role is given is part of a body."""
    found = store.find_principal_row(tx, object_id.lower())
    if found is None or not found[0].is_entra:
        raise RequestInvalid(
            f"Principal {object_id[:64].replace('-', '')} does not exist in the directory. Check that you have the "
            "correct principal ID: it is the object id, not the client id.",
            "properties.principalId",
            code="PrincipalNotFound",
        )
    return found[0]


def _check_condition(condition: str | None, version: str | None) -> None:
    if condition is None:
        return
    if version != VERSION:
        raise RequestInvalid(
            f"The given role assignment condition is invalid: its conditionVersion must be '{VERSION}'.",
            "properties.conditionVersion",
            code="InvalidCondition",
        )
    parse_condition(condition)


def get_principal(tx: Tx, object_id: str) -> tuple[Principal, bool]:
    """The principal and whether it is enabled. Raises ResourceUnknown."""
    found = store.find_principal_row(tx, object_id.lower())
    if found is None:
        raise ResourceUnknown(f"there is no principal with object id {object_id[:64]!r}", code="PrincipalNotFound")
    return found
