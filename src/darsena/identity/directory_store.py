"""SQL of the directory: principals as they are managed, their certificates, secrets and redirect URIs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore, lock_for_update
from darsena.identity.certificates import Certificate
from darsena.identity.model import Principal, PrincipalKind
from darsena.identity.sign_in_tables import certificate, redirect_uri
from darsena.identity.store import ENABLED, read_principal
from darsena.identity.tables import credential, principal, role_assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrincipal:
    principal: Principal
    is_enabled: bool
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCertificate:
    uid: str
    der: bytes
    sha1: str
    sha256: str
    starts_at: int
    expires_at: int
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A secret without anything of its value."""

    uid: str
    slot: str
    expires_at: int | None
    created_at: int


# --- principals -----------------------------------------------------------------------------------------------------


def find_by_object_id(tx: Tx, object_id: str, *, lock: bool = False) -> StoredPrincipal | None:
    return _find(tx, principal.c.object_id == object_id, lock=lock)


def find_named(tx: Tx, tenant_id: str, name: str, kinds: Collection[PrincipalKind]) -> StoredPrincipal | None:
    """By object id, client id or user name, in lower case."""
    named = (principal.c.object_id == name) | (principal.c.client_id == name) | (principal.c.user_name == name)
    return _find(tx, named & (principal.c.tenant_id == tenant_id) & principal.c.kind.in_(kinds))


def list_principals(
    tx: Tx,
    tenant_id: str,
    kinds: Collection[PrincipalKind],
    *,
    after: int = 0,
    limit: int,
    object_ids: Collection[str] | None = None,
) -> list[StoredPrincipal]:
    """In the order in which they were made; of `object_ids` those that are there."""
    here = (principal.c.tenant_id == tenant_id) & principal.c.kind.in_(kinds) & (principal.c.id > after)
    if object_ids is not None:
        here &= principal.c.object_id.in_(object_ids)
    rows = tx.execute(select(principal).where(here).order_by(principal.c.id).limit(limit))
    return [_principal(row) for row in rows]


def rename_principal(tx: Tx, principal_id: int, name: str) -> None:
    tx.execute(update(principal).where(principal.c.id == principal_id).values(name=name))


def delete_principal(tx: Tx, principal_id: int) -> None:
    """With everything that it holds."""
    for table in (role_assignment, credential, certificate, redirect_uri):
        tx.execute(delete(table).where(table.c.principal_id == principal_id))
    tx.execute(delete(principal).where(principal.c.id == principal_id))


def list_enabled_holders(tx: Tx, role_definition_id: str, scope_key: str) -> list[str]:
    """Object ids of enabled principals that hold the role at exactly this scope, without a condition."""
    joined = select(principal.c.object_id).join(role_assignment, role_assignment.c.principal_id == principal.c.id)
    rows = tx.execute(
        joined.where(
            role_assignment.c.role_definition_id == role_definition_id,
            role_assignment.c.scope_key == scope_key,
            role_assignment.c.condition.is_(None),
            principal.c.status == ENABLED,
        )
    )
    return [row.object_id for row in rows]


def _find(tx: Tx, here: ColumnElement[bool], *, lock: bool = False) -> StoredPrincipal | None:
    query = select(principal).where(here).limit(1)
    row = tx.execute(lock_for_update(tx.dialect, query) if lock else query).first()
    return None if row is None else _principal(row)


def _principal(row: Row[Any]) -> StoredPrincipal:
    return StoredPrincipal(principal=read_principal(row), is_enabled=row.status == ENABLED, created_at=row.created_at)


# --- certificates ---------------------------------------------------------------------------------------------------


def add_certificate(tx: Tx, principal_id: int, uid: str, value: Certificate) -> bool:
    """False when the principal has it already."""
    values = {
        "uid": uid,
        "principal_id": principal_id,
        "der": value.der,
        "sha1": value.sha1,
        "sha256": value.sha256,
        "starts_at": value.starts_at,
        "expires_at": value.expires_at,
        "created_at": tx.now_us,
    }
    added = insert_ignore(tx.dialect, certificate, values).returning(certificate.c.uid)
    return tx.execute(added).first() is not None


def list_certificates(tx: Tx, principal_id: int) -> list[StoredCertificate]:
    mine = select(certificate).where(certificate.c.principal_id == principal_id)
    return [
        StoredCertificate(
            uid=row.uid,
            der=row.der,
            sha1=row.sha1,
            sha256=row.sha256,
            starts_at=row.starts_at,
            expires_at=row.expires_at,
            created_at=row.created_at,
        )
        for row in tx.execute(mine.order_by(certificate.c.created_at, certificate.c.uid))
    ]


def delete_certificate(tx: Tx, principal_id: int, uid: str) -> bool:
    here = (certificate.c.principal_id == principal_id) & (certificate.c.uid == uid)
    return tx.execute(delete(certificate).where(here)).rowcount > 0


# --- secrets --------------------------------------------------------------------------------------------------------


def list_secrets(tx: Tx, principal_id: int) -> list[StoredSecret]:
    mine = select(credential).where(credential.c.principal_id == principal_id).order_by(credential.c.slot)
    return [
        StoredSecret(uid=row.uid, slot=row.slot, expires_at=row.expires_at, created_at=row.created_at)
        for row in tx.execute(mine)
    ]


def delete_secret(tx: Tx, principal_id: int, uid: str) -> bool:
    here = (credential.c.principal_id == principal_id) & (credential.c.uid == uid)
    return tx.execute(delete(credential).where(here)).rowcount > 0


# --- redirect URIs --------------------------------------------------------------------------------------------------


def list_redirect_uris(tx: Tx, principal_id: int) -> list[str]:
    mine = select(redirect_uri.c.uri).where(redirect_uri.c.principal_id == principal_id).order_by(redirect_uri.c.uri)
    return [row.uri for row in tx.execute(mine)]


def replace_redirect_uris(tx: Tx, principal_id: int, uris: Sequence[str]) -> None:
    tx.execute(delete(redirect_uri).where(redirect_uri.c.principal_id == principal_id))
    if uris:
        tx.execute(insert(redirect_uri), [{"principal_id": principal_id, "uri": uri} for uri in uris])
