"""SQL of scope maps and repository tokens. Names are looked up by their lower-case key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, delete, func, insert, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore, lock_for_update
from darsena.identity.scope_maps import SYSTEM_SCOPE_MAPS
from darsena.identity.tables import ENABLED, credential, principal
from darsena.identity.token_certificates import TokenCertificate
from darsena.identity.token_tables import repository_token, scope_map

AuthorKind = Literal["User", "Application", "ManagedIdentity", "Key"]


class Authors(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a resource and who last changed it, as ARM's systemData tells it; times in microseconds."""

    created_by: str
    created_by_kind: AuthorKind
    created_at: int
    modified_by: str
    modified_by_kind: AuthorKind
    modified_at: int

    def changed(self, by: str, kind: AuthorKind, at_us: int) -> Authors:
        return msgspec.structs.replace(self, modified_by=by, modified_by_kind=kind, modified_at=at_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeMap:
    name: str
    description: str | None
    actions: tuple[str, ...]
    authors: Authors


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPassword:
    """Without its value, which nobody can read again."""

    name: str
    created_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryToken:
    principal_id: int
    object_id: str
    name: str
    enabled: bool
    scope_map: str
    """Its name, as written when the token was bound to it."""
    authors: Authors
    passwords: tuple[TokenPassword, ...]
    certificates: tuple[TokenCertificate, ...]


# --- scope maps -----------------------------------------------------------------------------------------------------


def find_scope_map(tx: Tx, registry_uid: str, name: str, *, lock: bool = False) -> ScopeMap | None:
    query = select(scope_map).where(scope_map.c.registry_uid == registry_uid, scope_map.c.name_key == name.lower())
    row = tx.execute(lock_for_update(tx.dialect, query) if lock else query).first()
    return None if row is None else _scope_map(row)


def list_scope_maps(tx: Tx, registry_uid: str, *, after: str, limit: int) -> list[ScopeMap]:
    here = (scope_map.c.registry_uid == registry_uid) & (scope_map.c.name_key > after)
    return [_scope_map(row) for row in tx.execute(select(scope_map).where(here).order_by("name_key").limit(limit))]


def count_scope_maps(tx: Tx, registry_uid: str) -> int:
    return tx.execute(select(func.count()).where(scope_map.c.registry_uid == registry_uid)).scalar_one()


def put_scope_map(tx: Tx, registry_uid: str, row: ScopeMap) -> None:
    """Create, or replace the one of this name; the name keeps the case of its first writing."""
    values = {
        "description": row.description,
        "actions": msgspec.json.encode(row.actions),
        "authors": msgspec.json.encode(row.authors),
    }
    here = (scope_map.c.registry_uid == registry_uid) & (scope_map.c.name_key == row.name.lower())
    if tx.execute(update(scope_map).where(here).values(values)).rowcount == 0:
        key = {"registry_uid": registry_uid, "name": row.name, "name_key": row.name.lower()}
        tx.execute(insert(scope_map).values({**key, **values}))


def delete_scope_map(tx: Tx, registry_uid: str, name: str) -> None:
    tx.execute(delete(scope_map).where(scope_map.c.registry_uid == registry_uid, scope_map.c.name_key == name.lower()))


def list_tokens_of(tx: Tx, registry_uid: str, scope_map_name: str, *, limit: int) -> list[str]:
    """Names of tokens that are bound to the scope map."""
    rows = tx.execute(
        select(principal.c.name)
        .join(repository_token, repository_token.c.principal_id == principal.c.id)
        .where(
            repository_token.c.registry_uid == registry_uid,
            repository_token.c.scope_map_key == scope_map_name.lower(),
        )
        .order_by(repository_token.c.name_key)
        .limit(limit)
    )
    return [row.name for row in rows]


def list_actions_of(tx: Tx, principal_id: int) -> tuple[str, ...]:
    """What the scope map of this token holds now; nothing when there is no such token or map."""
    row = tx.execute(select(repository_token).where(repository_token.c.principal_id == principal_id)).first()
    if row is None:
        return ()
    if (system := SYSTEM_SCOPE_MAPS.get(row.scope_map_key)) is not None:
        return system.actions
    found = find_scope_map(tx, row.registry_uid, row.scope_map_key)
    return () if found is None else found.actions


def _scope_map(row: Row[Any]) -> ScopeMap:
    return ScopeMap(
        name=row.name,
        description=row.description,
        actions=msgspec.json.decode(row.actions, type=tuple[str, ...]),
        authors=msgspec.json.decode(row.authors, type=Authors),
    )


# --- tokens ---------------------------------------------------------------------------------------------------------


def find_token(tx: Tx, registry_uid: str, name: str, *, lock: bool = False) -> RepositoryToken | None:
    here = (repository_token.c.registry_uid == registry_uid) & (repository_token.c.name_key == name.lower())
    query = _select_tokens().where(here)
    row = tx.execute(lock_for_update(tx.dialect, query) if lock else query).first()
    return None if row is None else _token(tx, row)


def find_token_principal(tx: Tx, registry_uid: str, name_key: str) -> int | None:
    here = (repository_token.c.registry_uid == registry_uid) & (repository_token.c.name_key == name_key)
    return tx.execute(select(repository_token.c.principal_id).where(here)).scalar()


def list_tokens(tx: Tx, registry_uid: str, *, after: str, limit: int) -> list[RepositoryToken]:
    here = (repository_token.c.registry_uid == registry_uid) & (repository_token.c.name_key > after)
    rows = tx.execute(_select_tokens().where(here).order_by(repository_token.c.name_key).limit(limit)).all()
    return [_token(tx, row) for row in rows]


def count_tokens(tx: Tx, registry_uid: str) -> int:
    return tx.execute(select(func.count()).where(repository_token.c.registry_uid == registry_uid)).scalar_one()


def insert_token(tx: Tx, registry_uid: str, principal_id: int, *, name: str, scope_map: str, authors: Authors) -> bool:
    """False when the registry has a token of this name."""
    values = {
        "principal_id": principal_id,
        "registry_uid": registry_uid,
        "name_key": name.lower(),
        "scope_map": scope_map,
        "scope_map_key": scope_map.lower(),
        "certificates": b"[]",
        "authors": msgspec.json.encode(authors),
    }
    added = insert_ignore(tx.dialect, repository_token, values).returning(repository_token.c.principal_id)
    return tx.execute(added).first() is not None


def update_token(tx: Tx, principal_id: int, *, scope_map: str, authors: Authors) -> None:
    values = {"scope_map": scope_map, "scope_map_key": scope_map.lower(), "authors": msgspec.json.encode(authors)}
    tx.execute(update(repository_token).where(repository_token.c.principal_id == principal_id).values(values))


def put_certificates(tx: Tx, principal_id: int, certificates: Sequence[TokenCertificate]) -> None:
    """Instead of those that are there."""
    here = repository_token.c.principal_id == principal_id
    tx.execute(update(repository_token).where(here).values(certificates=msgspec.json.encode(certificates)))


def delete_token(tx: Tx, principal_id: int) -> None:
    """With its passwords and its principal."""
    tx.execute(delete(repository_token).where(repository_token.c.principal_id == principal_id))
    tx.execute(delete(credential).where(credential.c.principal_id == principal_id))
    tx.execute(delete(principal).where(principal.c.id == principal_id))


def keep_passwords(tx: Tx, principal_id: int, names: tuple[str, ...]) -> None:
    """Remove every other one."""
    tx.execute(delete(credential).where(credential.c.principal_id == principal_id, credential.c.slot.not_in(names)))


def delete_registry_tokens(tx: Tx, registry_uid: str) -> None:
    """Before their principals go, which these rows name."""
    tx.execute(delete(repository_token).where(repository_token.c.registry_uid == registry_uid))
    tx.execute(delete(scope_map).where(scope_map.c.registry_uid == registry_uid))


def _select_tokens() -> Any:
    return select(
        repository_token.c.principal_id,
        repository_token.c.scope_map,
        repository_token.c.authors,
        repository_token.c.certificates,
        principal.c.name,
        principal.c.object_id,
        principal.c.status,
    ).join(principal, principal.c.id == repository_token.c.principal_id)


def _token(tx: Tx, row: Row[Any]) -> RepositoryToken:
    secrets = tx.execute(
        select(credential).where(credential.c.principal_id == row.principal_id).order_by(credential.c.slot)
    )
    return RepositoryToken(
        principal_id=row.principal_id,
        object_id=row.object_id,
        name=row.name,
        enabled=row.status == ENABLED,
        scope_map=row.scope_map,
        authors=msgspec.json.decode(row.authors, type=Authors),
        passwords=tuple(
            TokenPassword(name=secret.slot, created_at=secret.created_at, expires_at=secret.expires_at)
            for secret in secrets
        ),
        certificates=msgspec.json.decode(row.certificates, type=tuple[TokenCertificate, ...]),
    )
