"""Tags of groups, registries and identities. Each function is one step of a transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from darsena.db import Tx
from darsena.resources import groups, identity_store, store
from darsena.resources.model import Author, Group, RegistryRow, Tags, UserIdentity
from darsena.resources.registries import Registries


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A group, or the registry or the identity in it."""

    subscription_id: str
    group: str
    registry: str | None = None
    identity: str | None = None


def read_tags(tx: Tx, registries: Registries, what: Tagged) -> tuple[str, Tags]:
    """The ARM id and the tags. Raises ResourceUnknown."""
    found = _get(tx, registries, what, lock=False)
    return found.resource_id, found.tags


def change_tags(
    tx: Tx, registries: Registries, what: Tagged, change: Callable[[Tags], Tags], author: Author
) -> tuple[str, Tags]:
    """As `read_tags`, after the change. Raises ResourceUnknown, RequestInvalid."""
    found = _get(tx, registries, what, lock=True)
    tags = change(found.tags)
    match found:
        case RegistryRow():
            after = registries.put_tags(tx, found, tags, author)
        case UserIdentity():
            after = registries.identities.put_tags(tx, found, tags, author)
        case Group():
            after = groups.put_tags(tx, found, tags)
    return after.resource_id, after.tags


def _get(tx: Tx, registries: Registries, what: Tagged, *, lock: bool) -> Group | RegistryRow | UserIdentity:
    if what.registry is not None:
        return registries.get(tx, what.subscription_id, what.group, what.registry, lock=lock)
    if what.identity is not None:
        return registries.identities.get(tx, what.subscription_id, what.group, what.identity, lock=lock)
    return groups.get_group(tx, what.subscription_id, what.group, lock=lock)


def count_tags(tx: Tx, subscription_id: str) -> Mapping[str, Mapping[str, int]]:
    """How often each tag has each value."""
    counts: dict[str, Counter[str]] = {}
    found = (
        *store.list_groups(tx, subscription_id),
        *store.list_registries(tx, subscription_id),
        *identity_store.list_identities(tx, subscription_id),
    )
    for row in found:
        for name, value in row.tags.items():
            counts.setdefault(name, Counter())[value] += 1
    return counts
