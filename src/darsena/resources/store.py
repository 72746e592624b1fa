"""SQL of groups and registries. Names are looked up by their lower-case key; lists page by it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, Select, delete, insert, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore
from darsena.resources.model import (
    Author,
    Group,
    Operation,
    Properties,
    RegistryRow,
    SystemData,
    Tags,
)
from darsena.resources.tables import operation, registry, resource_group

_registries = select(registry, resource_group.c.subscription_id, resource_group.c.name.label("group_name")).join_from(
    registry, resource_group
)


# --- groups -----------------------------------------------------------------------------------------------------


def find_group(tx: Tx, subscription_id: str, name: str, *, lock: bool = False) -> Group | None:
    """With `lock` nobody else changes the group, or what is in it, before this transaction ends."""
    statement = select(resource_group).where(
        resource_group.c.subscription_id == subscription_id, resource_group.c.name_key == name.lower()
    )
    row = tx.execute(_locking(tx, statement, resource_group) if lock else statement).one_or_none()
    return None if row is None else _group(row)


def insert_group(tx: Tx, subscription_id: str, name: str, location: str, tags: Tags, managed_by: str | None) -> bool:
    """False when there is one already."""
    values = {
        "subscription_id": subscription_id,
        "name": name,
        "name_key": name.lower(),
        "location": location,
        "tags": msgspec.json.encode(tags),
        "managed_by": managed_by,
        "created_at": tx.now_us,
        "updated_at": tx.now_us,
    }
    return _inserted(tx, resource_group, values)


def update_group(tx: Tx, group: Group) -> None:
    tx.execute(
        update(resource_group)
        .where(resource_group.c.id == group.id)
        .values(tags=msgspec.json.encode(group.tags), managed_by=group.managed_by, updated_at=tx.now_us)
    )


def delete_group(tx: Tx, group: Group) -> None:
    tx.execute(delete(resource_group).where(resource_group.c.id == group.id))


def list_groups(tx: Tx, subscription_id: str, *, after: str = "", limit: int | None = None) -> list[Group]:
    rows = tx.execute(
        select(resource_group)
        .where(resource_group.c.subscription_id == subscription_id, resource_group.c.name_key > after)
        .order_by(resource_group.c.name_key)
        .limit(limit)
    )
    return [_group(row) for row in rows]


# --- registries -------------------------------------------------------------------------------------------------


def find_registry(tx: Tx, subscription_id: str, group: str, name: str, *, lock: bool = False) -> RegistryRow | None:
    found = find_registry_by_name(tx, name, lock=lock)
    if found is None or found.subscription_id != subscription_id or found.group.lower() != group.lower():
        return None
    return found


def find_registry_by_name(tx: Tx, name: str, *, lock: bool = False) -> RegistryRow | None:
    return _find(tx, _registries.where(registry.c.name_key == name.lower()), lock=lock)


def find_registry_by_uid(tx: Tx, uid: str) -> RegistryRow | None:
    return _find(tx, _registries.where(registry.c.uid == uid))


def find_registry_by_label(tx: Tx, label: str) -> RegistryRow | None:
    """By the first DNS label of its login server, in lower case."""
    return _find(tx, _registries.where(registry.c.label == label))


def list_registries(
    tx: Tx, subscription_id: str, *, group: str | None = None, after: str = "", limit: int | None = None
) -> list[RegistryRow]:
    """In the order of names; of one group, or of the whole subscription."""
    statement = _registries.where(
        resource_group.c.subscription_id == subscription_id, registry.c.name_key > after
    ).order_by(registry.c.name_key)
    if group is not None:
        statement = statement.where(resource_group.c.name_key == group.lower())
    return [_registry(row) for row in tx.execute(statement.limit(limit))]


def insert_registry(tx: Tx, values: RegistryRow) -> bool:
    """False when the name or the login server is taken. `values.id` is not used: the database gives it."""
    row = {
        "uid": values.uid,
        "group_id": values.group_id,
        "name": values.name,
        "name_key": values.name.lower(),
        "label": values.label,
        "location": values.location,
        "created_by": values.system_data.created_by.name,
        "created_by_kind": values.system_data.created_by.kind,
        "created_at": values.system_data.created_at_us,
        **_mutable(values),
    }
    return _inserted(tx, registry, row)


def update_registry(tx: Tx, values: RegistryRow) -> None:
    tx.execute(update(registry).where(registry.c.id == values.id).values(**_mutable(values)))


def delete_registry(tx: Tx, row: RegistryRow) -> None:
    tx.execute(delete(registry).where(registry.c.id == row.id))


# --- operations -------------------------------------------------------------------------------------------------


def insert_operation(tx: Tx, values: Operation) -> None:
    tx.execute(
        insert(operation).values(
            id=values.id,
            subscription_id=values.subscription_id,
            status=values.status,
            error=values.error,
            created_at=tx.now_us,
        )
    )


def find_operation(tx: Tx, subscription_id: str, id_: str) -> Operation | None:
    row = tx.execute(
        select(operation).where(operation.c.id == id_, operation.c.subscription_id == subscription_id)
    ).one_or_none()
    if row is None:
        return None
    return Operation(id=row.id, subscription_id=row.subscription_id, status=row.status, error=row.error)


def delete_operations_before(tx: Tx, at_us: int) -> None:
    tx.execute(delete(operation).where(operation.c.created_at < at_us))


# --- inside -----------------------------------------------------------------------------------------------------


def _inserted(tx: Tx, table: Any, values: dict[str, Any]) -> bool:
    """Insert unless a unique key is taken. The id of the RETURNING row tells which: rowcount is not portable."""
    return tx.execute(insert_ignore(tx.dialect, table, values).returning(table.c.id)).one_or_none() is not None


def _locking(tx: Tx, statement: Select[Any], *tables: Any) -> Select[Any]:
    """Lock the rows of `tables` only; on SQLite the transaction holds the one write lock already."""
    return statement.with_for_update(of=tables) if tx.dialect == "postgresql" else statement


def _find(tx: Tx, statement: Select[Any], *, lock: bool = False) -> RegistryRow | None:
    row = tx.execute(_locking(tx, statement, registry) if lock else statement).one_or_none()
    return None if row is None else _registry(row)


def _mutable(values: RegistryRow) -> dict[str, Any]:
    return {
        "sku": values.sku,
        "tags": msgspec.json.encode(values.tags),
        "properties": msgspec.json.encode(values.properties),
        "modified_by": values.system_data.modified_by.name,
        "modified_by_kind": values.system_data.modified_by.kind,
        "modified_at": values.system_data.modified_at_us,
        "version": values.version,
    }


def _group(row: Row[Any]) -> Group:
    return Group(
        id=row.id,
        subscription_id=row.subscription_id,
        name=row.name,
        location=row.location,
        tags=msgspec.json.decode(row.tags, type=Tags),
        managed_by=row.managed_by,
    )


def _registry(row: Row[Any]) -> RegistryRow:
    return RegistryRow(
        id=row.id,
        uid=row.uid,
        group_id=row.group_id,
        subscription_id=row.subscription_id,
        group=row.group_name,
        name=row.name,
        label=row.label,
        location=row.location,
        sku=row.sku,
        tags=msgspec.json.decode(row.tags, type=Tags),
        properties=msgspec.json.decode(row.properties, type=Properties),
        system_data=SystemData(
            created_by=Author(name=row.created_by, kind=row.created_by_kind),
            created_at_us=row.created_at,
            modified_by=Author(name=row.modified_by, kind=row.modified_by_kind),
            modified_at_us=row.modified_at,
        ),
        version=row.version,
    )
