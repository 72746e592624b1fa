"""Role assignments, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable

from darsena.core.errors import Conflict, RequestInvalid, ResourceUnknown
from darsena.core.ids import new_guid
from darsena.db import Tx
from darsena.identity import store
from darsena.identity.events import RoleAssigned, RoleUnassigned
from darsena.identity.model import Principal
from darsena.identity.roles import find_role
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
        role = find_role(role_definition_id)
        if role is None:
            raise RequestInvalid(
                f"The specified role definition with ID '{role_definition_id[-64:]}' does not exist.",
                code="RoleDefinitionDoesNotExist",
            )
        principal, _ = get_principal(tx, object_id)
        if not principal.is_entra:
            raise RequestInvalid(
                f"a principal of kind {principal.kind} takes no roles", code="UnsupportedPrincipalType"
            )
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
            raise Conflict("The role assignment already exists.", code="RoleAssignmentExists")
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


def get_principal(tx: Tx, object_id: str) -> tuple[Principal, bool]:
    """The principal and whether it is enabled. Raises ResourceUnknown."""
    found = store.find_principal_row(tx, object_id.lower())
    if found is None:
        raise ResourceUnknown(f"there is no principal with object id {object_id[:64]!r}", code="PrincipalNotFound")
    return found
