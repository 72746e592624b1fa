"""Principals and their rights, made and taken away by the ways that ARM, the directory and runs take."""

from __future__ import annotations

from dataclasses import dataclass

from darsena.core.ids import new_guid
from darsena.identity import store
from darsena.identity.directory import ENTRA
from darsena.identity.model import Principal, RegistryFacts
from darsena.identity.owner import NewServicePrincipal
from darsena.identity.role_service import RoleRequest
from darsena.identity.roles import OWNER
from darsena.identity.room import IdentityRoom
from darsena.identity.store import StoredAssignment


@dataclass(frozen=True)
class Principals:
    room: IdentityRoom

    # --- the directory's ------------------------------------------------------------------------------------------

    async def create_service_principal(self, name: str, *, secret_lifetime_s: int | None = None) -> NewServicePrincipal:
        entry, secret = await self.room.directory.create_service_principal(name, secret_lifetime_s=secret_lifetime_s)
        assert secret is not None
        return NewServicePrincipal(entry.principal, entry.principal.client_id or "", secret.value)

    async def create_user(self, user_name: str, password: str, *, name: str | None = None) -> Principal:
        return (await self.room.directory.create_user(user_name, password, name=name)).principal

    async def reset_secret(self, client_id: str) -> NewServicePrincipal:
        entry, secret = await self.room.directory.reset_secret(client_id)
        return NewServicePrincipal(entry.principal, entry.principal.client_id or "", secret.value)

    async def disable(self, object_id: str) -> None:
        await self._keep_an_owner(object_id)
        await self.room.directory.set_enabled(object_id, ENTRA, False)

    async def enable(self, object_id: str) -> None:
        await self.room.directory.set_enabled(object_id, ENTRA, True)

    # --- roles ----------------------------------------------------------------------------------------------------

    async def assign_role(
        self,
        object_id: str,
        role_definition_id: str,
        scope: str,
        *,
        condition: str | None = None,
        description: str | None = None,
    ) -> StoredAssignment:
        request = RoleRequest(
            id=new_guid(),
            object_id=object_id,
            role_definition_id=role_definition_id,
            condition=condition,
            condition_version=None if condition is None else "2.0",
            description=description,
        )
        return (await self.room.roles.put(request, lambda _tx: scope))[0]

    async def remove_role(self, assignment: StoredAssignment) -> None:
        await self._keep_an_owner(assignment.object_id)
        assert await self.room.roles.remove(assignment.id, assignment.scope) == assignment

    def list_roles(self, *, below: str | None = None, object_id: str | None = None) -> list[StoredAssignment]:
        return self.room.db.read_sync(store.list_assignments, below=below, object_id=object_id)

    async def _keep_an_owner(self, object_id: str) -> None:
        """The last owner could not go: there is another one before."""
        held = [role for role in self.list_roles() if role.role_definition_id == OWNER.id]
        if [role.object_id for role in held] == [object_id]:
            other = await self.create_service_principal("another owner")
            await self.assign_role(other.principal.object_id, OWNER.id, held[0].scope)

    # --- runs' ----------------------------------------------------------------------------------------------------

    async def create_run_credential(
        self, facts: RegistryFacts, run_uid: str, lifetime_s: int, *, caller: str | None = None
    ) -> tuple[str, str]:
        return await self.room.db.transact(self.room.runs.create, facts.uid, run_uid, lifetime_s, caller=caller)

    async def revoke_run_credential(self, run_uid: str) -> None:
        await self.room.db.transact(self.room.runs.revoke, run_uid)
