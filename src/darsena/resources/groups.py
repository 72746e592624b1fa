"""Resource groups. Each function is one step of a transaction; names compare without case and keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from darsena.core.errors import Conflict, ResourceUnknown
from darsena.core.ids import new_guid
from darsena.core.names import GroupName
from darsena.db import Tx
from darsena.journal import subscription_stream
from darsena.resources import store
from darsena.resources.events import Change, GroupCreated, GroupDeleted, GroupUpdated
from darsena.resources.locations import parse_location
from darsena.resources.model import Group, Operation, Page, RegistryRow, Tags
from darsena.resources.validate import parse_tags

OPERATION_KEPT_US = 7 * 24 * 3600 * 1_000_000


def get_group(tx: Tx, subscription_id: str, name: str, *, lock: bool = False) -> Group:
    """Raises ResourceUnknown with ARM's code ResourceGroupNotFound."""
    group = store.find_group(tx, subscription_id, name, lock=lock)
    if group is None:
        raise ResourceUnknown(f"Resource group '{name[:90]}' could not be found.", code="ResourceGroupNotFound")
    return group


def list_groups(tx: Tx, subscription_id: str, *, after: str, limit: int) -> Page[Group]:
    rows = store.list_groups(tx, subscription_id, after=after, limit=limit + 1)
    return Page(items=rows[:limit], next_key=rows[limit - 1].name.lower() if len(rows) > limit else None)


def put_group(
    tx: Tx, subscription_id: str, name: str, location: str | None, tags: Tags | None, managed_by: str | None
) -> tuple[Group, bool]:
    """The group and whether it is new. A group stays where it is: another location is a Conflict."""
    label, tags = parse_location(location), parse_tags(tags)
    GroupName.parse(name)
    if store.insert_group(tx, subscription_id, name, label, tags, managed_by):
        tx.emit(subscription_stream(subscription_id), GroupCreated(name=name, location=label))
        return get_group(tx, subscription_id, name), True
    group = get_group(tx, subscription_id, name, lock=True)
    if group.location != label:
        raise Conflict(
            f"Invalid resource group location '{label}'. The Resource group already exists in location "
            f"'{group.location}'.",
            code="InvalidResourceGroupLocation",
        )
    return _update(tx, group, replace(group, tags=tags, managed_by=managed_by)), False


def patch_group(tx: Tx, subscription_id: str, name: str, tags: Tags | None, managed_by: str | None) -> Group:
    """None keeps."""
    group = get_group(tx, subscription_id, name, lock=True)
    after = replace(
        group,
        tags=group.tags if tags is None else parse_tags(tags),
        managed_by=group.managed_by if managed_by is None else managed_by,
    )
    return _update(tx, group, after)


def put_tags(tx: Tx, group: Group, tags: Tags) -> Group:
    """Of a group that was read under its lock. Raises RequestInvalid."""
    return _update(tx, group, replace(group, tags=parse_tags(tags)))


def delete_group(
    tx: Tx,
    subscription_id: str,
    name: str,
    delete_registry: Callable[[Tx, RegistryRow], object],
    delete_others: Callable[[Tx, Group], object],
    on_scope_deleted: Sequence[Callable[[Tx, str], None]],
) -> Operation:
    """Delete the group and, by the two callables, all that is in it. The operation is finished and may be polled."""
    group = get_group(tx, subscription_id, name, lock=True)
    for registry in store.list_registries(tx, subscription_id, group=group.name):
        delete_registry(tx, registry)
    delete_others(tx, group)
    for hook in on_scope_deleted:
        hook(tx, group.resource_id)
    store.delete_group(tx, group)
    tx.emit(subscription_stream(subscription_id), GroupDeleted(name=group.name, location=group.location))
    store.delete_operations_before(tx, tx.now_us - OPERATION_KEPT_US)
    operation = Operation(id=new_guid(), subscription_id=subscription_id, status="Succeeded")
    store.insert_operation(tx, operation)
    return operation


def get_operation(tx: Tx, subscription_id: str, id_: str) -> Operation:
    operation = store.find_operation(tx, subscription_id, id_.lower())
    if operation is None:
        raise ResourceUnknown(f"The operation '{id_[:80]}' could not be found.")
    return operation


def _update(tx: Tx, before: Group, after: Group) -> Group:
    changes = {
        name: Change(previous=getattr(before, name), current=getattr(after, name))
        for name in ("tags", "managed_by")
        if getattr(before, name) != getattr(after, name)
    }
    store.update_group(tx, after)
    tx.emit(subscription_stream(after.subscription_id), GroupUpdated(name=after.name, changes=changes))
    return after
