"""Use cases of the control plane, each in one transaction, and the look-ups that other rooms make inside theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from darsena.core.errors import RequestInvalid
from darsena.db import Database, Tx
from darsena.identity.model import RegistryFacts
from darsena.jobs.wake import Wake
from darsena.journal import subscription_stream
from darsena.resources import groups, store
from darsena.resources.activity import Activity, list_activity
from darsena.resources.events import RegistryCredentialRegenerated
from darsena.resources.facts import to_facts
from darsena.resources.identities import Identities, Principals
from darsena.resources.ids import subscription_path
from darsena.resources.lookup import RegistryLookup
from darsena.resources.model import (
    Author,
    DomainNameScope,
    Group,
    NameAvailability,
    Operation,
    Page,
    RegistryPatch,
    RegistryPut,
    RegistryRow,
    Tags,
    Usage,
    UserIdentity,
)
from darsena.resources.naming import LoginServers
from darsena.resources.registries import Counter, Hook, Registries
from darsena.resources.tagging import Tagged, change_tags, count_tags, read_tags

PasswordName = Literal["password", "password2"]


class Keys(Protocol):
    """The keyring, as far as a registry's life concerns it."""

    def create(self, tx: Tx, owner: str) -> None: ...
    def destroy(self, tx: Tx, owner: str) -> None: ...


class AdminPasswords(Protocol):
    """The admin user's two passwords, by the registry's uid."""

    def ensure(self, tx: Tx, registry_uid: str) -> None: ...
    def list(self, tx: Tx, registry_uid: str) -> Mapping[str, str]: ...
    def regenerate(self, tx: Tx, registry_uid: str, name: str) -> None: ...
    def delete(self, tx: Tx, registry_uid: str) -> None: ...


class ResourceService:
    """Hooks run inside the deleting transaction. `on_registry_deleted` gets the registry's uid: rows of other rooms, a
    job for the bytes; `on_scope_deleted` gets the ARM id of a registry or group: roles that were assigned on it.
    `changed` is notified after each commit of this process that changed a registry."""

    def __init__(
        self,
        db: Database,
        *,
        login_servers: LoginServers,
        keys: Keys,
        passwords: AdminPasswords,
        principals: Principals,
        on_registry_deleted: Sequence[Hook] = (),
        on_scope_deleted: Sequence[Hook] = (),
        counters: Mapping[str, Counter] | None = None,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self.login_servers = login_servers
        self.lookup = RegistryLookup(db, login_servers)
        self.changed = Wake()
        self.registries = Registries(
            login_servers=login_servers,
            identities=Identities(principals=principals, on_scope_deleted=on_scope_deleted),
            on_created=(keys.create,),
            on_admin_enabled=(passwords.ensure,),
            on_deleted=(*on_registry_deleted, passwords.delete, keys.destroy),
            on_scope_deleted=on_scope_deleted,
            on_committed=self._forget,
            counters=counters or {},
        )

    def _forget(self) -> None:
        self.lookup.forget()
        self.changed.notify()

    # --- for other rooms, inside their transactions -----------------------------------------------------------------

    def get_registry(self, tx: Tx, subscription_id: str, group: str, name: str) -> RegistryRow:
        """Raises ResourceUnknown."""
        return self.registries.get(tx, subscription_id, group, name)

    def find_registry_by_name(self, tx: Tx, name: str) -> RegistryRow | None:
        return store.find_registry_by_name(tx, name)

    def find_registry_by_uid(self, tx: Tx, uid: str) -> RegistryRow | None:
        return store.find_registry_by_uid(tx, uid)

    def facts(self, row: RegistryRow) -> RegistryFacts:
        return to_facts(row, self.login_servers)

    def find_scope(self, tx: Tx, subscription_id: str, group: str | None = None, registry: str | None = None) -> str:
        """The ARM id of the subscription, group or registry, with the names as they are written; nobody deletes it
        before this transaction ends. Raises ResourceUnknown."""
        if group is None:
            return subscription_path(subscription_id)
        if registry is None:
            return groups.get_group(tx, subscription_id, group, lock=True).resource_id
        return self.registries.get(tx, subscription_id, group, registry, lock=True).resource_id

    async def check_scope(self, subscription_id: str, group: str | None, registry: str | None) -> None:
        """Raises ResourceUnknown when there is no such group or registry."""
        if registry is not None and group is not None:
            await self.read_registry(subscription_id, group, registry)
        elif group is not None:
            await self.get_group(subscription_id, group)

    async def list_activity(
        self, subscription_id: str, *, before: int | None = None, since_us: int = 0, limit: int = 100
    ) -> Page[Activity]:
        """What was changed on the control plane, the newest first."""
        return await self._db.read(list_activity, subscription_id, before=before, since_us=since_us, limit=limit)

    # --- groups -------------------------------------------------------------------------------------------------------

    async def get_group(self, subscription_id: str, name: str) -> Group:
        return await self._db.read(groups.get_group, subscription_id, name)

    async def list_groups(self, subscription_id: str, *, after: str = "", limit: int = 100) -> Page[Group]:
        return await self._db.read(groups.list_groups, subscription_id, after=after, limit=limit)

    async def put_group(
        self,
        subscription_id: str,
        name: str,
        *,
        location: str | None,
        tags: Tags | None = None,
        managed_by: str | None = None,
    ) -> tuple[Group, bool]:
        """The group and whether it is new."""
        return await self._db.transact(groups.put_group, subscription_id, name, location, tags, managed_by)

    async def patch_group(
        self, subscription_id: str, name: str, *, tags: Tags | None = None, managed_by: str | None = None
    ) -> Group:
        return await self._db.transact(groups.patch_group, subscription_id, name, tags, managed_by)

    async def delete_group(self, subscription_id: str, name: str) -> Operation:
        """With everything in it. The operation outlives the group."""
        rows = self.registries
        return await self._db.transact(
            groups.delete_group,
            subscription_id,
            name,
            rows.delete_row,
            rows.identities.delete_group,
            rows.on_scope_deleted,
        )

    async def get_operation(self, subscription_id: str, id_: str) -> Operation:
        return await self._db.read(groups.get_operation, subscription_id, id_)

    # --- tags ---------------------------------------------------------------------------------------------------------

    async def read_tags(self, what: Tagged) -> tuple[str, Tags]:
        """The ARM id and the tags. Raises ResourceUnknown."""
        return await self._db.read(read_tags, self.registries, what)

    async def change_tags(self, what: Tagged, change: Callable[[Tags], Tags], *, author: Author) -> tuple[str, Tags]:
        """As they are afterwards; nobody changes them in between. Raises ResourceUnknown, RequestInvalid."""
        return await self._db.transact(change_tags, self.registries, what, change, author)

    async def count_tags(self, subscription_id: str) -> Mapping[str, Mapping[str, int]]:
        """How often each tag has each value, in the whole subscription."""
        return await self._db.read(count_tags, subscription_id)

    # --- registries ---------------------------------------------------------------------------------------------------

    async def read_registry(self, subscription_id: str, group: str, name: str) -> RegistryRow:
        """Raises ResourceUnknown."""
        return await self._db.read(self.get_registry, subscription_id, group, name)

    async def list_registries(
        self, subscription_id: str, *, group: str | None = None, after: str = "", limit: int = 100
    ) -> Page[RegistryRow]:
        return await self._db.read(self.registries.list_page, subscription_id, group=group, after=after, limit=limit)

    async def put_registry(
        self, subscription_id: str, group: str, name: str, body: RegistryPut, *, author: Author
    ) -> tuple[RegistryRow, bool]:
        """The registry and whether it is new; its data key and passwords are made with it."""
        return await self._db.transact(self.registries.put, subscription_id, group, name, body, author)

    async def patch_registry(
        self, subscription_id: str, group: str, name: str, body: RegistryPatch, *, author: Author
    ) -> RegistryRow:
        return await self._db.transact(self.registries.patch, subscription_id, group, name, body, author)

    async def delete_registry(self, subscription_id: str, group: str, name: str) -> bool:
        """False when there was none. Its key is destroyed at once, its bytes are dropped by a job."""
        return await self._db.transact(self.registries.delete, subscription_id, group, name)

    async def check_name(
        self, subscription_id: str, name: str, *, scope: DomainNameScope | None = None, group: str = ""
    ) -> NameAvailability:
        return await self._db.read(self.registries.check_name, subscription_id, name, scope, group)

    async def list_usages(self, subscription_id: str, group: str, name: str) -> list[Usage]:
        def read(tx: Tx) -> list[Usage]:
            return self.registries.list_usages(tx, self.get_registry(tx, subscription_id, group, name))

        return await self._db.read(read)

    # --- user-assigned identities -------------------------------------------------------------------------------------

    async def get_identity(self, subscription_id: str, group: str, name: str) -> UserIdentity:
        """Raises ResourceUnknown."""
        return await self._db.read(self.registries.identities.get, subscription_id, group, name)

    async def list_identities(
        self, subscription_id: str, *, group: str | None = None, after: str = "", limit: int = 100
    ) -> Page[UserIdentity]:
        listing = self.registries.identities.list_page
        return await self._db.read(listing, subscription_id, group=group, after=after, limit=limit)

    async def put_identity(
        self,
        subscription_id: str,
        group: str,
        name: str,
        *,
        location: str | None,
        tags: Tags | None,
        author: Author,
    ) -> tuple[UserIdentity, bool]:
        """The identity and whether it is new; its principal is made with it."""
        put = self.registries.identities.put
        return await self._db.transact(put, subscription_id, group, name, location, tags, author)

    async def patch_identity(
        self, subscription_id: str, group: str, name: str, *, tags: Tags | None, author: Author
    ) -> UserIdentity:
        return await self._db.transact(self.registries.identities.patch, subscription_id, group, name, tags, author)

    async def delete_identity(self, subscription_id: str, group: str, name: str) -> bool:
        """False when there was none. Its principal and its roles go with it."""
        return await self._db.transact(self.registries.identities.delete, subscription_id, group, name)

    # --- credentials --------------------------------------------------------------------------------------------------

    async def list_credentials(
        self, subscription_id: str, group: str, name: str
    ) -> tuple[RegistryRow, Mapping[str, str]]:
        """The admin user's passwords by name. Raises RequestInvalid while the admin user is disabled."""

        def read(tx: Tx) -> tuple[RegistryRow, Mapping[str, str]]:
            row = _get_with_admin(self.get_registry, tx, subscription_id, group, name)
            return row, self._passwords.list(tx, row.uid)

        return await self._db.read(read)

    async def regenerate_credential(
        self, subscription_id: str, group: str, name: str, password: PasswordName
    ) -> tuple[RegistryRow, Mapping[str, str]]:
        """Make that password anew; the other stays."""

        def write(tx: Tx) -> tuple[RegistryRow, Mapping[str, str]]:
            row = _get_with_admin(self.get_registry, tx, subscription_id, group, name)
            self._passwords.regenerate(tx, row.uid, password)
            event = RegistryCredentialRegenerated(
                uid=row.uid, name=row.name, resource_group=row.group, password=password
            )
            tx.emit(subscription_stream(subscription_id), event)
            return row, self._passwords.list(tx, row.uid)

        return await self._db.transact(write)


def _get_with_admin(
    get: Callable[[Tx, str, str, str], RegistryRow], tx: Tx, subscription_id: str, group: str, name: str
) -> RegistryRow:
    row = get(tx, subscription_id, group, name)
    if not row.properties.admin_user_enabled:
        raise RequestInvalid(
            f"Cannot perform credential operations for {row.resource_id} as admin user is disabled. Kindly enable "
            "admin user as per docs: "
            "https://docs.microsoft.com/en-us/azure/container-registry/container-registry-authentication#admin-account",
            code="UnAuthorizedForCredentialOperations",
        )
    return row
