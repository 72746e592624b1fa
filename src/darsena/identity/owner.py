"""Who owns the subscription from the first start on, and how whoever has the data folder gets in again."""

from __future__ import annotations

from dataclasses import dataclass, field

from darsena.db import Database, Tx
from darsena.identity import store
from darsena.identity.assignments import Assignments, get_principal
from darsena.identity.directory import Directory
from darsena.identity.model import Principal
from darsena.identity.roles import OWNER
from darsena.identity.store import StoredAssignment


@dataclass(frozen=True, slots=True)
class NewServicePrincipal:
    """The only time that the secret is seen."""

    principal: Principal
    client_id: str
    client_secret: str = field(repr=False)


class Owner:
    """Of one subscription, whose ARM id is `scope`."""

    def __init__(self, db: Database, directory: Directory, assignments: Assignments, *, scope: str) -> None:
        self._db = db
        self._directory = directory
        self._assignments = assignments
        self._scope = scope

    async def ensure(self) -> NewServicePrincipal | None:
        """On first start, a service principal with role Owner on the subscription, and its secret. None when anybody
        holds that role already."""
        return await self._db.transact(self._make)

    async def reset_secret(self) -> NewServicePrincipal | None:
        """A new secret for the first service principal that holds the role Owner on the subscription and is enabled;
        None without one."""
        return await self._db.transact(self._reset)

    def _make(self, tx: Tx) -> NewServicePrincipal | None:
        if self._list_held(tx):
            return None
        principal = self._directory.insert_service_principal(tx, "owner")
        made = self._put_secret(tx, principal)
        self._assignments.assign(tx, principal.object_id, OWNER.id, self._scope)
        return made

    def _reset(self, tx: Tx) -> NewServicePrincipal | None:
        for assignment in sorted(self._list_held(tx), key=lambda found: found.created_at):
            principal, is_enabled = get_principal(tx, assignment.object_id)
            if is_enabled and principal.kind == "service_principal":
                return self._put_secret(tx, principal)
        return None

    def _list_held(self, tx: Tx) -> list[StoredAssignment]:
        held = store.list_assignments_at(tx, [self._scope])
        return [found for found in held if found.role_definition_id == OWNER.id and found.condition is None]

    def _put_secret(self, tx: Tx, principal: Principal) -> NewServicePrincipal:
        secret = self._directory.put_secret(tx, principal)
        return NewServicePrincipal(principal, principal.client_id or "", secret.value)
