"""Use cases of identity, each in one transaction, told to the journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from darsena.core.errors import Conflict, RequestInvalid, ResourceUnknown
from darsena.core.ids import new_guid, new_secret, new_uid
from darsena.db import Database, Tx
from darsena.identity import store
from darsena.identity.assignments import Assignments, get_principal
from darsena.identity.events import (
    CredentialReset,
    PrincipalCreated,
    PrincipalDisabled,
    PrincipalEnabled,
)
from darsena.identity.hashing import PersonPasswords, SecretHasher
from darsena.identity.holders import Holders
from darsena.identity.model import Principal, RegistryFacts
from darsena.identity.roles import OWNER
from darsena.identity.runs import RunCredentials
from darsena.identity.store import StoredAssignment
from darsena.journal import EventBody, subscription_stream

DEFAULT_SLOT = "secret"


@dataclass(frozen=True, slots=True)
class NewServicePrincipal:
    """The only time that the secret is seen."""

    principal: Principal
    client_id: str
    client_secret: str = field(repr=False)


class IdentityService:
    """Of one tenant with one subscription."""

    def __init__(
        self,
        db: Database,
        hasher: SecretHasher,
        runs: RunCredentials,
        holders: Holders,
        people: PersonPasswords,
        *,
        tenant_id: str,
        subscription_id: str,
    ) -> None:
        self._db = db
        self._hasher = hasher
        self._runs = runs
        self._holders = holders
        self._people = people
        self._tenant_id = tenant_id
        self._scope = f"/subscriptions/{subscription_id}"
        self._stream = subscription_stream(subscription_id)
        self._assignments = Assignments(self._stream, on_changed=holders.forget)

    # --- the owner --------------------------------------------------------------------------------------------------

    async def ensure_owner(self, name: str = "owner") -> NewServicePrincipal | None:
        """On first start, a service principal with role Owner on the subscription, and its secret. None when anybody
        holds that role already."""
        return await self._db.transact(self._make_owner, name)

    def _make_owner(self, tx: Tx, name: str) -> NewServicePrincipal | None:
        if any(self._is_owner(assignment) for assignment in store.list_assignments(tx, below=self._scope)):
            return None
        made = self._create(tx, name, None)
        self._assignments.assign(tx, made.principal.object_id, OWNER.id, self._scope)
        return made

    def _is_owner(self, assignment: StoredAssignment) -> bool:
        here = assignment.scope.lower() == self._scope.lower()
        return here and assignment.role_definition_id == OWNER.id and assignment.condition is None

    async def reset_owner_secret(self) -> NewServicePrincipal | None:
        """A new secret for the first service principal that holds the role Owner on the subscription and is enabled;
        None without one."""
        return await self._db.transact(self._reset_owner)

    def _reset_owner(self, tx: Tx) -> NewServicePrincipal | None:
        held = [found for found in store.list_assignments(tx, below=self._scope) if self._is_owner(found)]
        for assignment in sorted(held, key=lambda found: found.created_at):
            principal, is_enabled = get_principal(tx, assignment.object_id)
            if is_enabled and principal.kind == "service_principal":
                return self._reset(tx, principal, DEFAULT_SLOT, None)
        return None

    # --- principals -------------------------------------------------------------------------------------------------

    async def create_service_principal(self, name: str, *, secret_lifetime_s: int | None = None) -> NewServicePrincipal:
        """With one secret and no role."""
        return await self._db.transact(self._create, name, secret_lifetime_s)

    async def create_user(self, user_name: str, password: str, *, name: str | None = None) -> Principal:
        """A person, who signs in with `user_name` in any case. Raises Conflict when the name is taken."""
        if not 12 <= len(password) <= 256:
            raise RequestInvalid("a password has 12 to 256 characters", "password")
        hashed = await self._people.hash(password)
        return await self._db.transact(self._create_user, user_name, hashed, name or user_name)

    async def reset_secret(
        self, client_id: str, *, slot: str = DEFAULT_SLOT, secret_lifetime_s: int | None = None
    ) -> NewServicePrincipal:
        """A new secret in the slot; the old one, and every token made from it, stops within a second."""

        def reset(tx: Tx) -> NewServicePrincipal:
            principal = store.find_by_client_id(tx, client_id.lower())
            if principal is None:
                raise ResourceUnknown(f"there is no service principal with client id {client_id[:64]!r}")
            return self._reset(tx, principal, slot, secret_lifetime_s)

        return await self._db.transact(reset)

    async def disable(self, object_id: str) -> None:
        """Its secrets and tokens stop within a second; tokens stay void when it is enabled again. Idempotent."""
        await self._db.transact(self._set_enabled, object_id, False)

    async def enable(self, object_id: str) -> None:
        await self._db.transact(self._set_enabled, object_id, True)

    def _create(self, tx: Tx, name: str, secret_lifetime_s: int | None) -> NewServicePrincipal:
        principal = store.insert_principal(
            tx,
            object_id=new_guid(),
            kind="service_principal",
            name=name,
            tenant_id=self._tenant_id,
            client_id=new_guid(),
        )
        self._emit(tx, _created(principal))
        return self._put_secret(tx, principal, DEFAULT_SLOT, secret_lifetime_s)

    def _create_user(self, tx: Tx, user_name: str, hashed: str, name: str) -> Principal:
        key = user_name.lower()
        if store.find_by_user_name(tx, self._tenant_id, key) is not None:
            raise Conflict(f"there is a user {user_name!r} already")
        principal = store.insert_principal(
            tx, object_id=new_guid(), kind="user", name=name, tenant_id=self._tenant_id, user_name=key
        )
        store.put_credential(tx, principal.id, "password", uid=new_uid(), hash_=hashed, expires_at=None)
        self._emit(tx, _created(principal))
        return principal

    def _reset(self, tx: Tx, principal: Principal, slot: str, secret_lifetime_s: int | None) -> NewServicePrincipal:
        made = self._put_secret(tx, principal, slot, secret_lifetime_s)
        until = None if secret_lifetime_s is None else tx.now_us + secret_lifetime_s * 1_000_000
        self._emit(tx, CredentialReset(object_id=principal.object_id, slot=slot, expires_at=until))
        return made

    def _put_secret(
        self, tx: Tx, principal: Principal, slot: str, secret_lifetime_s: int | None
    ) -> NewServicePrincipal:
        secret = new_secret()
        until = None if secret_lifetime_s is None else tx.now_us + secret_lifetime_s * 1_000_000
        hashed = self._hasher.hash(secret)
        store.put_credential(tx, principal.id, slot, uid=new_uid(), hash_=hashed, expires_at=until)
        tx.after_commit(self._holders.forget)
        return NewServicePrincipal(principal, principal.client_id or "", secret)

    def _set_enabled(self, tx: Tx, object_id: str, wanted: bool) -> None:
        principal, is_enabled = get_principal(tx, object_id)
        if is_enabled == wanted:
            return
        version = store.set_status(tx, principal.id, store.ENABLED if wanted else store.DISABLED)
        event = PrincipalEnabled if wanted else PrincipalDisabled
        self._emit(tx, event(object_id=principal.object_id, version=version))
        tx.after_commit(self._holders.forget)

    # --- roles ------------------------------------------------------------------------------------------------------

    async def assign_role(
        self,
        object_id: str,
        role_definition_id: str,
        scope: str,
        *,
        id: str | None = None,  # noqa: A002
        condition: str | None = None,
        condition_version: str | None = None,
        description: str | None = None,
    ) -> StoredAssignment:
        """Raises Conflict (RoleAssignmentExists) when the principal holds the role at this scope already."""
        return await self._db.transact(
            self._assignments.assign,
            object_id,
            role_definition_id,
            scope,
            id_=id,
            condition=condition,
            condition_version=condition_version,
            description=description,
        )

    async def remove_role(self, id: str) -> StoredAssignment | None:  # noqa: A002
        """Returns what was removed. It counts no more within a second, for issued tokens too."""
        return await self._db.transact(self._assignments.remove, id)

    async def list_roles(self, *, below: str | None = None, object_id: str | None = None) -> list[StoredAssignment]:
        """At or below an ARM scope (None: everywhere), of one principal (None: of all)."""
        return await self._db.read(store.list_assignments, below=below, object_id=object_id)

    def forget_scope(self, tx: Tx, scope: str) -> None:
        """With an ARM resource go the roles held at it and below: one made anew with the same id starts without."""
        self._assignments.forget_scope(tx, scope)

    # --- runs -------------------------------------------------------------------------------------------------------

    async def create_run_credential(self, facts: RegistryFacts, run_uid: str, lifetime_s: int) -> tuple[str, str]:
        """(user name, password), as RunCredentials.create in a transaction of its own."""
        return await self._db.transact(self._runs.create, facts.uid, run_uid, lifetime_s)

    async def revoke_run_credential(self, run_uid: str) -> None:
        await self._db.transact(self._runs.revoke, run_uid)

    def _emit(self, tx: Tx, *events: EventBody) -> None:
        for event in events:
            tx.emit(self._stream, event)


def _created(principal: Principal) -> PrincipalCreated:
    return PrincipalCreated(
        object_id=principal.object_id,
        principal_kind=principal.kind,
        name=principal.name,
        client_id=principal.client_id,
    )
