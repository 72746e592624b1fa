"""User-assigned managed identities, and which identities a registry has. Each method is one step of a transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from darsena.core.errors import Conflict, NameInvalid, RequestInvalid, ResourceUnknown
from darsena.db import Tx
from darsena.identity.model import Principal
from darsena.journal import subscription_stream
from darsena.resources import identity_store as store
from darsena.resources.events import Change, ManagedIdentityCreated, ManagedIdentityDeleted, ManagedIdentityUpdated
from darsena.resources.groups import get_group
from darsena.resources.ids import IDENTITY_TYPE
from darsena.resources.locations import parse_location
from darsena.resources.model import (
    AssignedIdentity,
    Author,
    Group,
    IdentityChange,
    Page,
    RegistryIdentity,
    SystemData,
    Tags,
    UserIdentity,
)
from darsena.resources.validate import parse_tags

MAX_ASSIGNED: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}\Z")
_ID: Final = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/" + re.escape(IDENTITY_TYPE) + r"/([^/]+)\Z",
    re.IGNORECASE,
)


class Principals(Protocol):
    """Identity, as far as resources with principals of their own concern it."""

    def create(self, tx: Tx, name: str, *, registry_uid: str | None = None) -> Principal: ...
    def delete(self, tx: Tx, object_id: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    principals: Principals
    on_scope_deleted: Sequence[Callable[[Tx, str], None]] = ()

    # --- reading --------------------------------------------------------------------------------------------------

    def get(self, tx: Tx, subscription_id: str, group: str, name: str, *, lock: bool = False) -> UserIdentity:
        """Raises ResourceUnknown, with ARM's own words."""
        found = store.find_identity(tx, subscription_id, group, name, lock=lock)
        if found is None:
            group = get_group(tx, subscription_id, group).name
            raise ResourceUnknown(
                f"The Resource '{IDENTITY_TYPE}/{name[:128]}' under resource group '{group}' was not found. For more "
                "details please go to https://aka.ms/ARMResourceNotFoundFix"
            )
        return found

    def list_page(
        self, tx: Tx, subscription_id: str, *, group: str | None = None, after: str = "", limit: int = 100
    ) -> Page[UserIdentity]:
        if group is not None:
            get_group(tx, subscription_id, group)
        rows = store.list_identities(tx, subscription_id, group=group, after=after, limit=limit + 1)
        return Page(items=rows[:limit], next_key=make_key(rows[limit - 1]) if len(rows) > limit else None)

    # --- writing --------------------------------------------------------------------------------------------------

    def put(
        self,
        tx: Tx,
        subscription_id: str,
        group: str,
        name: str,
        location: str | None,
        tags: Tags | None,
        author: Author,
    ) -> tuple[UserIdentity, bool]:
        """The identity and whether it is new. It stays where it is: another location is a Conflict."""
        parent = get_group(tx, subscription_id, group, lock=True)
        label, tags = parse_location(location), parse_tags(tags)
        found = store.find_identity(tx, subscription_id, group, name, lock=True)
        if found is None:
            return self._create(tx, parent, name, label, tags, author), True
        if found.location != label:
            raise Conflict(
                f"The resource '{found.name}' already exists in location '{found.location}' in resource group "
                f"'{found.group}'. A resource with the same name cannot be created in location '{label}'. "
                "Please select a new resource name.",
                code="InvalidResourceLocation",
            )
        return self._update(tx, found, tags, author), False

    def patch(
        self, tx: Tx, subscription_id: str, group: str, name: str, tags: Tags | None, author: Author
    ) -> UserIdentity:
        """None keeps."""
        found = self.get(tx, subscription_id, group, name, lock=True)
        return self.put_tags(tx, found, found.tags if tags is None else tags, author)

    def put_tags(self, tx: Tx, found: UserIdentity, tags: Tags, author: Author) -> UserIdentity:
        """Of an identity that was read under its lock. Raises RequestInvalid."""
        return self._update(tx, found, parse_tags(tags), author)

    def delete(self, tx: Tx, subscription_id: str, group: str, name: str) -> bool:
        """False when there is none. Its principal goes with it, and with that every role that it holds."""
        found = store.find_identity(tx, subscription_id, group, name, lock=True)
        if found is None:
            get_group(tx, subscription_id, group)
            return False
        self._delete(tx, found)
        return True

    def delete_group(self, tx: Tx, group: Group) -> None:
        """All of a resource group that goes."""
        for found in store.list_identities(tx, group.subscription_id, group=group.name):
            self._delete(tx, found)

    # --- of registries --------------------------------------------------------------------------------------------

    def apply(
        self,
        tx: Tx,
        registry_uid: str,
        name: str,
        subscription_id: str,
        before: RegistryIdentity,
        change: IdentityChange,
    ) -> RegistryIdentity:
        """What a registry has once the change is made. Raises RequestInvalid for an identity that is not there."""
        system = before.system_object_id
        if change.system and system is None:
            system = self.principals.create(tx, name, registry_uid=registry_uid).object_id
        elif not change.system and system is not None:
            self.principals.delete(tx, system)
            system = None
        wanted = {key.lower(): (key, is_wanted) for key, is_wanted in change.assigned.items()}
        kept = [row for row in before.assigned if wanted.get(row.resource_id.lower(), ("", not change.replaces))[1]]
        known = {row.resource_id.lower() for row in kept}
        added = [
            self._find(tx, subscription_id, key)
            for low, (key, is_wanted) in wanted.items()
            if is_wanted and low not in known
        ]
        assigned = sorted([*kept, *added], key=lambda row: row.resource_id.lower())
        if len(assigned) > MAX_ASSIGNED:
            raise RequestInvalid(f"A registry has at most {MAX_ASSIGNED} user-assigned identities.", _TARGET)
        return RegistryIdentity(system_object_id=system, assigned=tuple(assigned))

    def _find(self, tx: Tx, subscription_id: str, resource_id: str) -> AssignedIdentity:
        match = _ID.match(resource_id)
        found = None
        if match is not None and match[1].lower() == subscription_id.lower():
            found = store.find_identity(tx, subscription_id, match[2], match[3], lock=True)
        if found is None:
            raise RequestInvalid(
                f"The user-assigned identity '{resource_id[:400]}' was not found.",
                _TARGET,
                code="FailedIdentityOperation",
            )
        return AssignedIdentity(resource_id=found.resource_id, object_id=found.object_id, client_id=found.client_id)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _create(self, tx: Tx, group: Group, name: str, location: str, tags: Tags, author: Author) -> UserIdentity:
        if not _NAME.match(name):
            raise NameInvalid(
                name[:128],
                "an identity's name has 3 to 128 letters, digits, - and _, and begins with a letter or digit",
            )
        principal = self.principals.create(tx, name)
        made = SystemData(created_by=author, created_at_us=tx.now_us, modified_by=author, modified_at_us=tx.now_us)
        draft = UserIdentity(
            id=0,
            group_id=group.id,
            subscription_id=group.subscription_id,
            group=group.name,
            name=name,
            location=location,
            tags=tags,
            object_id=principal.object_id,
            client_id=principal.client_id or "",
            system_data=made,
        )
        if not store.insert_identity(tx, draft):
            raise Conflict(f"Another request made the identity '{name}' at the same time.")
        event = ManagedIdentityCreated(
            name=name, resource_group=group.name, location=location, object_id=principal.object_id
        )
        tx.emit(subscription_stream(group.subscription_id), event)
        return self.get(tx, group.subscription_id, group.name, name)

    def _update(self, tx: Tx, before: UserIdentity, tags: Tags, author: Author) -> UserIdentity:
        after = replace(
            before, tags=tags, system_data=replace(before.system_data, modified_by=author, modified_at_us=tx.now_us)
        )
        store.update_identity(tx, after)
        changes = {} if tags == before.tags else {"tags": Change(previous=before.tags, current=tags)}
        event = ManagedIdentityUpdated(name=after.name, resource_group=after.group, changes=changes)
        tx.emit(subscription_stream(after.subscription_id), event)
        return after

    def _delete(self, tx: Tx, found: UserIdentity) -> None:
        for hook in self.on_scope_deleted:
            hook(tx, found.resource_id)
        self.principals.delete(tx, found.object_id)
        store.delete_identity(tx, found)
        event = ManagedIdentityDeleted(name=found.name, resource_group=found.group, object_id=found.object_id)
        tx.emit(subscription_stream(found.subscription_id), event)


_TARGET: Final = "identity.userAssignedIdentities"


def make_key(identity: UserIdentity) -> str:
    """What to list after."""
    return f"{identity.name.lower()}/{identity.group_id}"


def parse_key(text: str) -> str:
    """Raises RequestInvalid for a key that was not given out here."""
    name, slash, group_id = text.partition("/")
    if text and not (name and slash and group_id.isascii() and group_id.isdigit() and len(group_id) < 19):
        raise RequestInvalid("The $skipToken is not one that was given out here.", "$skipToken")
    return text


def is_identity_id(text: str) -> bool:
    """Whether it has the form of a user-assigned identity's ARM id."""
    return _ID.match(text) is not None
