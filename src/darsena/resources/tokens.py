"""Tokens of a registry: a name with up to two passwords, and the scope map that says what it may do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from darsena.core.errors import ChildUnknown, RequestInvalid, ResourceUnknown
from darsena.core.ids import new_guid, new_secret, new_uid
from darsena.db import Database, Tx
from darsena.identity import store, token_store
from darsena.identity.hashing import SecretHasher
from darsena.identity.token_certificates import TokenCertificate
from darsena.identity.token_store import RepositoryToken
from darsena.journal import EventBody, subscription_stream
from darsena.resources import gates
from darsena.resources.events import TokenCreated, TokenDeleted, TokenPasswordsGenerated, TokenUpdated
from darsena.resources.model import Author, Page, RegistryRow
from darsena.resources.scope_maps import FindRegistry, get_scope_map, make_authors

SLOTS: Final = ("password1", "password2")
_NAME = re.compile(r"[A-Za-z0-9-]{5,50}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChange:
    """What a request says of a token; None: nothing."""

    scope_map: str | None = None
    enabled: bool | None = None
    keep_passwords: Sequence[str] | None = None
    """Names of those that stay; the others go."""
    certificates: Sequence[TokenCertificate] | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """The token after it, and the only sight of the new values, by the passwords' names."""

    token: RepositoryToken
    values: dict[str, str] = field(repr=False)


class RepositoryTokens:
    """Each method is one transaction. What is changed here holds for data routes within a second."""

    def __init__(self, db: Database, hasher: SecretHasher, *, tenant_id: str, on_changed: Callable[[], None]) -> None:
        self._db = db
        self._hasher = hasher
        self._tenant_id = tenant_id
        self._on_changed = on_changed

    async def get(self, find: FindRegistry, name: str) -> tuple[RegistryRow, RepositoryToken]:
        """Raises ResourceUnknown."""

        def read(tx: Tx) -> tuple[RegistryRow, RepositoryToken]:
            row = find(tx)
            return row, _get(tx, row, name)

        return await self._db.read(read)

    async def list(self, find: FindRegistry, *, after: str, limit: int) -> tuple[RegistryRow, Page[RepositoryToken]]:
        """In the order of names."""

        def read(tx: Tx) -> tuple[RegistryRow, Page[RepositoryToken]]:
            row = find(tx)
            rows = token_store.list_tokens(tx, row.uid, after=after, limit=limit + 1)
            next_key = rows[limit - 1].name.lower() if len(rows) > limit else None
            return row, Page(items=rows[:limit], next_key=next_key)

        return await self._db.read(read)

    async def put(
        self, find: FindRegistry, name: str, change: TokenChange, *, author: Author
    ) -> tuple[RegistryRow, RepositoryToken, bool]:
        """Create it without a password, or change the one that is there. True when it is new."""

        def write(tx: Tx) -> tuple[RegistryRow, RepositoryToken, bool]:
            row = find(tx)
            there = token_store.find_token(tx, row.uid, name, lock=True)
            if there is not None:
                return row, self._update(tx, row, there, change, author), False
            return row, self._create(tx, row, name, change, author), True

        return await self._db.transact(write)

    async def patch(
        self, find: FindRegistry, name: str, change: TokenChange, *, author: Author
    ) -> tuple[RegistryRow, RepositoryToken]:
        def write(tx: Tx) -> tuple[RegistryRow, RepositoryToken]:
            row = find(tx)
            return row, self._update(tx, row, _get(tx, row, name, lock=True), change, author)

        return await self._db.transact(write)

    async def delete(self, find: FindRegistry, name: str) -> bool:
        """False when there was none. Its passwords, and what was made from them, hold no more."""

        def write(tx: Tx) -> bool:
            row = find(tx)
            there = token_store.find_token(tx, row.uid, name, lock=True)
            if there is None:
                return False
            token_store.delete_token(tx, there.principal_id)
            self._emit(tx, row, TokenDeleted(resource_group=row.group, registry=row.name, name=there.name))
            return True

        return await self._db.transact(write)

    async def generate(
        self, find: FindRegistry, name: str, slots: Sequence[str] = SLOTS, *, expires_at: int | None = None
    ) -> Generated:
        """New passwords in the slots; the old ones there stop. With a time that is past they never hold."""

        def write(tx: Tx) -> Generated:
            row = find(tx)
            there = _get(tx, row, name, lock=True)
            values = {slot: new_secret() for slot in slots}
            for slot, value in values.items():
                hashed = self._hasher.hash(value)
                store.put_credential(tx, there.principal_id, slot, uid=new_uid(), hash_=hashed, expires_at=expires_at)
            event = TokenPasswordsGenerated(
                resource_group=row.group,
                registry=row.name,
                name=there.name,
                passwords=[*slots],
                expires_at=expires_at,
            )
            self._emit(tx, row, event)
            return Generated(_get(tx, row, name), values)

        return await self._db.transact(write)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _create(self, tx: Tx, row: RegistryRow, name: str, change: TokenChange, author: Author) -> RepositoryToken:
        if not _NAME.match(name):
            raise RequestInvalid(
                f"The token name '{name[:80]}' is invalid: it must have 5 to 50 letters, digits or dashes."
            )
        if change.scope_map is None:
            raise RequestInvalid("A token needs a scope map: name it in 'scopeMapId'.", "properties.scopeMapId")
        bound = _get_bound(tx, row, change.scope_map)
        gates.check_limit(row.tier, "Tokens", token_store.count_tokens(tx, row.uid) + 1)
        made = store.insert_principal(
            tx,
            object_id=new_guid(),
            kind="token",
            name=name,
            tenant_id=self._tenant_id,
            registry_uid=row.uid,
        )
        authors = make_authors(author, tx.now_us)
        token_store.insert_token(tx, row.uid, made.id, name=name, scope_map=bound, authors=authors)
        enabled = change.enabled is not False
        if not enabled:
            store.set_status(tx, made.id, store.DISABLED)
        if change.certificates:
            token_store.put_certificates(tx, made.id, change.certificates)
        event = TokenCreated(resource_group=row.group, registry=row.name, name=name, scope_map=bound, enabled=enabled)
        self._emit(tx, row, event)
        return _get(tx, row, name)

    def _update(
        self, tx: Tx, row: RegistryRow, there: RepositoryToken, change: TokenChange, author: Author
    ) -> RepositoryToken:
        bound = there.scope_map if change.scope_map is None else _get_bound(tx, row, change.scope_map)
        authors = there.authors.changed(author.name, author.kind, tx.now_us)
        token_store.update_token(tx, there.principal_id, scope_map=bound, authors=authors)
        if change.keep_passwords is not None:
            token_store.keep_passwords(tx, there.principal_id, tuple(change.keep_passwords))
        if change.certificates is not None:
            token_store.put_certificates(tx, there.principal_id, change.certificates)
        if change.enabled is not None and change.enabled != there.enabled:
            store.set_status(tx, there.principal_id, store.ENABLED if change.enabled else store.DISABLED)
        after = _get(tx, row, there.name)
        event = TokenUpdated(
            resource_group=row.group,
            registry=row.name,
            name=after.name,
            scope_map=after.scope_map,
            enabled=after.enabled,
            passwords=[password.name for password in after.passwords],
        )
        self._emit(tx, row, event)
        return after

    def _emit(self, tx: Tx, row: RegistryRow, event: EventBody) -> None:
        tx.emit(subscription_stream(row.subscription_id), event)
        tx.after_commit(self._on_changed)


def _get(tx: Tx, row: RegistryRow, name: str, *, lock: bool = False) -> RepositoryToken:
    found = token_store.find_token(tx, row.uid, name, lock=lock)
    if found is None:
        raise ChildUnknown(name)
    return found


def _get_bound(tx: Tx, row: RegistryRow, scope_map: str) -> str:
    """The scope map's own name; nobody deletes it before this transaction ends."""
    try:
        return get_scope_map(tx, row, scope_map, lock=True).name
    except ResourceUnknown:
        raise RequestInvalid(
            f"The scope map '{scope_map[:80]}' does not exist in the registry '{row.name}'.", "properties.scopeMapId"
        ) from None
