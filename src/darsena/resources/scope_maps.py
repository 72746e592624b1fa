"""Scope maps of a registry: its own, and the system's that every registry has."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from darsena.core.errors import ChildUnknown, Conflict, RequestInvalid
from darsena.db import Database, Tx
from darsena.identity import token_store
from darsena.identity.scope_maps import SYSTEM_SCOPE_MAPS, parse_actions
from darsena.identity.token_store import Authors, ScopeMap
from darsena.journal import subscription_stream
from darsena.resources import gates
from darsena.resources.events import ScopeMapCreated, ScopeMapDeleted, ScopeMapUpdated
from darsena.resources.model import Author, Page, RegistryRow, SystemData

FindRegistry = Callable[[Tx], RegistryRow]
"""The registry, held until the transaction ends. Raises ResourceUnknown."""

_NAME = re.compile(r"[A-Za-z0-9_-]{5,50}\Z")


class ScopeMaps:
    """Each method is one transaction. What is changed here holds for data routes within a second."""

    def __init__(self, db: Database, *, on_changed: Callable[[], None]) -> None:
        self._db = db
        self._on_changed = on_changed

    async def get(self, find: FindRegistry, name: str) -> tuple[RegistryRow, ScopeMap]:
        """Raises ResourceUnknown."""

        def read(tx: Tx) -> tuple[RegistryRow, ScopeMap]:
            row = find(tx)
            return row, get_scope_map(tx, row, name)

        return await self._db.read(read)

    async def list(self, find: FindRegistry, *, after: str, limit: int) -> tuple[RegistryRow, Page[ScopeMap]]:
        """In the order of names, the system's among them."""

        def read(tx: Tx) -> tuple[RegistryRow, Page[ScopeMap]]:
            row = find(tx)
            rows = token_store.list_scope_maps(tx, row.uid, after=after, limit=limit + 1)
            rows += [_system(row, name) for name in SYSTEM_SCOPE_MAPS if name > after]
            rows.sort(key=lambda found: found.name.lower())
            more = len(rows) > limit
            return row, Page(items=rows[:limit], next_key=rows[limit - 1].name.lower() if more else None)

        return await self._db.read(read)

    async def put(
        self, find: FindRegistry, name: str, *, description: str | None, actions: list[str], author: Author
    ) -> tuple[RegistryRow, ScopeMap]:
        """Create it, or make it what is given."""

        def write(tx: Tx) -> tuple[RegistryRow, ScopeMap]:
            row = find(tx)
            _check_name(name)
            _check_description(description)
            return row, self._put(tx, row, name, description, parse_actions(actions), author)

        return await self._db.transact(write)

    async def patch(
        self, find: FindRegistry, name: str, *, description: str | None, actions: list[str] | None, author: Author
    ) -> tuple[RegistryRow, ScopeMap]:
        """Change what is given; None leaves it, an empty description is none."""

        def write(tx: Tx) -> tuple[RegistryRow, ScopeMap]:
            row = find(tx)
            there = get_scope_map(tx, row, name)
            _check_user_defined(name)
            _check_description(description)
            wanted = there.actions if actions is None else parse_actions(actions)
            said = there.description if description is None else description or None
            return row, self._put(tx, row, there.name, said, wanted, author)

        return await self._db.transact(write)

    async def delete(self, find: FindRegistry, name: str) -> bool:
        """False when there was none. Raises Conflict while a token is bound to it."""

        def write(tx: Tx) -> bool:
            row = find(tx)
            _check_user_defined(name)
            there = token_store.find_scope_map(tx, row.uid, name, lock=True)
            if there is None:
                return False
            users = token_store.list_tokens_of(tx, row.uid, name, limit=3)
            if users:
                raise Conflict(
                    f"The scope map '{there.name}' is used by tokens ({', '.join(users)}): bind them to another "
                    "scope map, or delete them, first.",
                    code="ScopeMapInUse",
                )
            token_store.delete_scope_map(tx, row.uid, name)
            event = ScopeMapDeleted(resource_group=row.group, registry=row.name, name=there.name)
            tx.emit(subscription_stream(row.subscription_id), event)
            return True

        return await self._db.transact(write)

    def _put(
        self,
        tx: Tx,
        row: RegistryRow,
        name: str,
        description: str | None,
        actions: tuple[str, ...],
        author: Author,
    ) -> ScopeMap:
        there = token_store.find_scope_map(tx, row.uid, name, lock=True)
        if there is None:
            gates.check_limit(row.tier, "ScopeMaps", token_store.count_scope_maps(tx, row.uid) + 1)
            authors = make_authors(author, tx.now_us)
            made = ScopeMap(name=name, description=description, actions=actions, authors=authors)
            event = ScopeMapCreated
        else:
            authors = there.authors.changed(author.name, author.kind, tx.now_us)
            made = replace(there, description=description, actions=actions, authors=authors)
            event = ScopeMapUpdated
        token_store.put_scope_map(tx, row.uid, made)
        told = event(resource_group=row.group, registry=row.name, name=made.name, actions=[*actions])
        tx.emit(subscription_stream(row.subscription_id), told)
        tx.after_commit(self._on_changed)
        return made


def get_scope_map(tx: Tx, row: RegistryRow, name: str, *, lock: bool = False) -> ScopeMap:
    """The registry's own or a system one. Raises ResourceUnknown."""
    if name.lower() in SYSTEM_SCOPE_MAPS:
        return _system(row, name.lower())
    found = token_store.find_scope_map(tx, row.uid, name, lock=lock)
    if found is None:
        raise ChildUnknown(name)
    return found


def is_system(name: str) -> bool:
    return name.lower() in SYSTEM_SCOPE_MAPS


def make_authors(author: Author, now_us: int) -> Authors:
    return Authors(
        created_by=author.name,
        created_by_kind=author.kind,
        created_at=now_us,
        modified_by=author.name,
        modified_by_kind=author.kind,
        modified_at=now_us,
    )


def system_data(authors: Authors) -> SystemData:
    return SystemData(
        created_by=Author(name=authors.created_by, kind=authors.created_by_kind),
        created_at_us=authors.created_at,
        modified_by=Author(name=authors.modified_by, kind=authors.modified_by_kind),
        modified_at_us=authors.modified_at,
    )


def _system(row: RegistryRow, name: str) -> ScopeMap:
    """As old as its registry."""
    system, made = SYSTEM_SCOPE_MAPS[name], row.system_data
    return ScopeMap(
        name=system.name,
        description=system.description,
        actions=system.actions,
        authors=make_authors(made.created_by, made.created_at_us),
    )


def _check_user_defined(name: str) -> None:
    if is_system(name):
        raise RequestInvalid(
            f"The scope map '{name}' is defined by the system and cannot be changed or deleted. Create one of your own."
        )


def _check_description(text: str | None) -> None:
    if text is not None and (len(text) > 256 or "\0" in text):
        raise RequestInvalid(
            "The description of a scope map has at most 256 characters, none of them NUL.", "properties.description"
        )


def _check_name(name: str) -> None:
    _check_user_defined(name)
    if not _NAME.match(name):
        raise RequestInvalid(
            f"The scope map name '{name[:80]}' is invalid: it must have 5 to 50 letters, digits, dashes or underscores."
        )
