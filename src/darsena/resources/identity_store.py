"""SQL of user-assigned identities. Names are looked up by their lower-case key; lists page by it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, delete, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore
from darsena.resources.identity_tables import user_identity
from darsena.resources.model import Author, SystemData, Tags, UserIdentity
from darsena.resources.tables import resource_group

_identities = select(
    user_identity, resource_group.c.subscription_id, resource_group.c.name.label("group_name")
).join_from(user_identity, resource_group)


def find_identity(tx: Tx, subscription_id: str, group: str, name: str, *, lock: bool = False) -> UserIdentity | None:
    statement = _identities.where(
        resource_group.c.subscription_id == subscription_id,
        resource_group.c.name_key == group.lower(),
        user_identity.c.name_key == name.lower(),
    )
    if lock and tx.dialect == "postgresql":
        statement = statement.with_for_update(of=user_identity)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _identity(row)


def list_identities(
    tx: Tx, subscription_id: str, *, group: str | None = None, after: str = "", limit: int | None = None
) -> list[UserIdentity]:
    """In the order of names, then groups: `after` is a name's key, a slash and a group's id."""
    name, _, group_id = after.partition("/")
    statement = _identities.where(resource_group.c.subscription_id == subscription_id)
    if group is not None:
        statement = statement.where(resource_group.c.name_key == group.lower())
    if after:
        further = (user_identity.c.name_key == name) & (user_identity.c.group_id > int(group_id or 0))
        statement = statement.where((user_identity.c.name_key > name) | further)
    statement = statement.order_by(user_identity.c.name_key, user_identity.c.group_id).limit(limit)
    return [_identity(row) for row in tx.execute(statement)]


def insert_identity(tx: Tx, value: UserIdentity) -> bool:
    """False when the group has one of this name. `value.id` is not used: the database gives it."""
    made = value.system_data
    values = {
        "group_id": value.group_id,
        "name": value.name,
        "name_key": value.name.lower(),
        "location": value.location,
        "tags": msgspec.json.encode(value.tags),
        "object_id": value.object_id,
        "client_id": value.client_id,
        "created_by": made.created_by.name,
        "created_by_kind": made.created_by.kind,
        "created_at": made.created_at_us,
        "modified_by": made.modified_by.name,
        "modified_by_kind": made.modified_by.kind,
        "modified_at": made.modified_at_us,
    }
    added = insert_ignore(tx.dialect, user_identity, values).returning(user_identity.c.id)
    return tx.execute(added).one_or_none() is not None


def update_identity(tx: Tx, value: UserIdentity) -> None:
    made = value.system_data
    tx.execute(
        update(user_identity)
        .where(user_identity.c.id == value.id)
        .values(
            tags=msgspec.json.encode(value.tags),
            modified_by=made.modified_by.name,
            modified_by_kind=made.modified_by.kind,
            modified_at=made.modified_at_us,
        )
    )


def delete_identity(tx: Tx, value: UserIdentity) -> None:
    tx.execute(delete(user_identity).where(user_identity.c.id == value.id))


def _identity(row: Row[Any]) -> UserIdentity:
    return UserIdentity(
        id=row.id,
        group_id=row.group_id,
        subscription_id=row.subscription_id,
        group=row.group_name,
        name=row.name,
        location=row.location,
        tags=msgspec.json.decode(row.tags, type=Tags),
        object_id=row.object_id,
        client_id=row.client_id,
        system_data=SystemData(
            created_by=Author(name=row.created_by, kind=row.created_by_kind),
            created_at_us=row.created_at,
            modified_by=Author(name=row.modified_by, kind=row.modified_by_kind),
            modified_at_us=row.modified_at,
        ),
    )
