"""Role assignments as ARM handles them: by their own ids, at scopes that exist, listed around a scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from darsena.core.errors import RequestInvalid
from darsena.db import Database, Tx
from darsena.identity import store
from darsena.identity.assignments import Assignments, get_role
from darsena.identity.model import PrincipalKind
from darsena.identity.roles import OWNER
from darsena.identity.store import StoredAssignment

FindScope = Callable[[Tx], str]
"""The ARM id of the scope as it is written, held until the transaction ends. Raises ResourceUnknown."""

PRINCIPAL_TYPES: Final[dict[PrincipalKind, str]] = {
    "user": "User",
    "service_principal": "ServicePrincipal",
    "managed_identity": "ServicePrincipal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRequest:
    """An assignment as a PUT describes it."""

    id: str
    """A GUID that the client chose."""
    object_id: str
    role_definition_id: str
    principal_type: str | None = None
    condition: str | None = None
    condition_version: str | None = None
    description: str | None = None


class RoleService:
    """Of one subscription."""

    def __init__(self, db: Database, assignments: Assignments, *, subscription_scope: str) -> None:
        self._db = db
        self._assignments = assignments
        self._subscription_scope = subscription_scope

    async def put(self, request: RoleRequest, find_scope: FindScope) -> tuple[StoredAssignment, bool]:
        """The assignment and whether it is new. Raises Conflict when the principal holds the role there already,
        RequestInvalid for a principal, role or condition that is none, and for a change of what cannot change."""
        return await self._db.transact(self._put, request, find_scope)

    async def remove(self, id_: str, scope: str) -> StoredAssignment | None:
        """What was removed; None when there was none of this id at this scope. Raises RequestInvalid for the last
        owner of the subscription."""
        return await self._db.transact(self._remove, id_, scope)

    async def find(self, id_: str, scope: str) -> StoredAssignment | None:
        found = await self._db.read(store.find_assignment, id_.lower())
        return found if found is not None and _is_at(found, scope) else None

    async def list_around(
        self, scope: str, *, with_below: bool = True, object_id: str | None = None
    ) -> list[StoredAssignment]:
        """Held at this ARM scope or above it, and (with `with_below`) below it; of one principal, or of all."""
        return await self._db.read(_list_around, scope, with_below, None if object_id is None else object_id.lower())

    def forget_scope(self, tx: Tx, scope: str) -> None:
        """With an ARM resource go the roles held at it and below: one made anew with the same id starts without."""
        self._assignments.forget_scope(tx, scope)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _put(self, tx: Tx, request: RoleRequest, find_scope: FindScope) -> tuple[StoredAssignment, bool]:
        scope = find_scope(tx)
        role = get_role(request.role_definition_id)
        there = store.find_assignment(tx, request.id.lower())
        if there is None:
            made = self._assignments.assign(
                tx,
                request.object_id,
                role.id,
                scope,
                id_=request.id,
                condition=request.condition,
                condition_version=request.condition_version,
                description=request.description,
            )
            _check_type(made, request.principal_type)
            return made, True
        same = (there.object_id, there.role_definition_id) == (request.object_id.lower(), role.id)
        if not same or not _is_at(there, scope):
            raise RequestInvalid(
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                code="RoleAssignmentUpdateNotPermitted",
            )
        changed = self._assignments.change(
            tx,
            there,
            condition=request.condition,
            condition_version=request.condition_version,
            description=request.description,
        )
        return changed, False

    def _remove(self, tx: Tx, id_: str, scope: str) -> StoredAssignment | None:
        found = store.find_assignment(tx, id_.lower())
        if found is None or not _is_at(found, scope):
            return None
        if self._owns_subscription(found):
            held = store.list_assignments_at(tx, [self._subscription_scope])
            if not any(self._owns_subscription(other) for other in held if other.id != found.id):
                raise RequestInvalid(
                    "Cannot delete the last RBAC admin assignment: somebody must own the subscription.",
                    code="LastOwnerRoleAssignment",
                )
        return self._assignments.remove(tx, found.id)

    def _owns_subscription(self, assignment: StoredAssignment) -> bool:
        here = _is_at(assignment, self._subscription_scope)
        return here and assignment.role_definition_id == OWNER.id and assignment.condition is None


def _list_around(tx: Tx, scope: str, with_below: bool, object_id: str | None) -> list[StoredAssignment]:
    parts = scope.rstrip("/").split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts) if with_below else len(parts) + 1)]
    found = store.list_assignments_at(tx, above, object_id=object_id)
    return found + store.list_assignments(tx, below=scope, object_id=object_id) if with_below else found


def _is_at(assignment: StoredAssignment, scope: str) -> bool:
    return assignment.scope.lower() == scope.rstrip("/").lower()


def _check_type(made: StoredAssignment, asked: str | None) -> None:
    """What the client takes the principal for; the transaction is undone when it is something else."""
    kind = PRINCIPAL_TYPES[made.principal_kind]
    if asked is not None and asked.lower() != kind.lower():
        raise RequestInvalid(
            f"The PrincipalId '{made.object_id}' has type '{kind}', which is different from specified PrincipalType "
            f"'{asked[:40]}'.",
            "properties.principalType",
            code="UnmatchedPrincipalType",
        )
