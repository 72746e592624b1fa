"""SQL of identity. What is read for a decision is read here as one Holder, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore, lock_for_update
from darsena.identity.model import Holder, Principal, PrincipalKind, RoleAssignment
from darsena.identity.sign_in_tables import certificate
from darsena.identity.tables import (
    DISABLED as DISABLED,
)
from darsena.identity.tables import (
    ENABLED,
    admin_password,
    credential,
    hash_key,
    principal,
    role_assignment,
    run_credential,
    signing_key,
)
from darsena.identity.token_store import delete_registry_tokens, list_actions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    uid: str
    slot: str
    hash: str
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAssignment:
    """A role assignment as ARM shows it; `object_id` is the principal's."""

    id: str
    scope: str
    object_id: str
    principal_kind: PrincipalKind
    role_definition_id: str
    condition: str | None
    condition_version: str | None
    description: str | None
    created_by: str
    created_at: int
    updated_by: str | None = None
    updated_at: int | None = None
    """Both None until the condition or the description is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    kid: str
    use: str
    public: bytes
    wrapped_private: bytes
    not_before: int
    retire_at: int


# --- principals -----------------------------------------------------------------------------------------------------


def insert_principal(
    tx: Tx,
    *,
    object_id: str,
    kind: PrincipalKind,
    name: str,
    tenant_id: str,
    client_id: str | None = None,
    user_name: str | None = None,
    registry_uid: str | None = None,
) -> Principal:
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "object_id": object_id,
        "kind": kind,
        "name": name,
        "client_id": client_id,
        "user_name": user_name,
        "registry_uid": registry_uid,
        "status": ENABLED,
        "version": 1,
        "created_at": tx.now_us,
    }
    row = tx.execute(insert(principal).values(values).returning(principal)).one()
    return read_principal(row)


def find_principal_row(tx: Tx, object_id: str) -> tuple[Principal, bool] | None:
    """The principal and whether it is enabled; held against other writers until the end of the transaction."""
    query = lock_for_update(tx.dialect, select(principal).where(principal.c.object_id == object_id))
    row = tx.execute(query).first()
    return None if row is None else (read_principal(row), row.status == ENABLED)


def list_principal_names(tx: Tx, object_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """By object id: a person's user name or a program's client id, and the display name."""
    rows = tx.execute(select(principal).where(principal.c.object_id.in_(object_ids)))
    return {row.object_id: (row.user_name or row.client_id or row.name, row.name) for row in rows}


def find_by_client_id(tx: Tx, client_id: str) -> Principal | None:
    row = tx.execute(select(principal).where(principal.c.client_id == client_id)).first()
    return None if row is None else read_principal(row)


def find_by_user_name(tx: Tx, tenant_id: str, user_name: str) -> Principal | None:
    here = (principal.c.tenant_id == tenant_id) & (principal.c.user_name == user_name)
    row = tx.execute(select(principal).where(here)).first()
    return None if row is None else read_principal(row)


def find_admin(tx: Tx, registry_uid: str) -> Principal | None:
    here = (principal.c.registry_uid == registry_uid) & (principal.c.kind == "admin")
    row = tx.execute(select(principal).where(here)).first()
    return None if row is None else read_principal(row)


def set_status(tx: Tx, principal_id: int, status: str) -> int:
    """Returns the raised version."""
    change = (
        update(principal)
        .where(principal.c.id == principal_id)
        .values(status=status, version=principal.c.version + 1)
        .returning(principal.c.version)
    )
    version: int = tx.execute(change).scalar_one()
    return version


def delete_registry_principals(tx: Tx, registry_uid: str) -> None:
    """Everything that lives and dies with the registry."""
    delete_registry_tokens(tx, registry_uid)
    mine = select(principal.c.id).where(principal.c.registry_uid == registry_uid)
    tx.execute(delete(role_assignment).where(role_assignment.c.principal_id.in_(mine)))
    tx.execute(delete(credential).where(credential.c.principal_id.in_(mine)))
    tx.execute(delete(principal).where(principal.c.registry_uid == registry_uid))
    tx.execute(delete(admin_password).where(admin_password.c.registry_uid == registry_uid))
    tx.execute(delete(run_credential).where(run_credential.c.registry_uid == registry_uid))


def read_principal(row: Row[Any]) -> Principal:
    return Principal(
        id=row.id,
        object_id=row.object_id,
        kind=row.kind,
        name=row.name,
        client_id=row.client_id,
        user_name=row.user_name,
        tenant_id=row.tenant_id,
        version=row.version,
    )


# --- holders --------------------------------------------------------------------------------------------------------


def find_holder(tx: Tx, principal_id: int, tenant_id: str) -> Holder | None:
    """A principal with what it holds, by the id that is unique among all kinds."""
    if principal_id < 0:
        run = tx.execute(select(run_credential).where(run_credential.c.id == -principal_id)).first()
        return None if run is None else _run_holder(tx, run, tenant_id)
    row = tx.execute(select(principal).where(principal.c.id == principal_id)).first()
    if row is None:
        return None
    found = read_principal(row)
    return Holder(
        principal=found,
        enabled=row.status == ENABLED,
        registry_uid=row.registry_uid,
        assignments=_list_roles_of(tx, found.id) if found.is_entra else (),
        scope_actions=list_actions_of(tx, found.id) if found.kind == "token" else (),
        credentials=_list_credential_uids(tx, found, row.registry_uid),
    )


def _list_credential_uids(tx: Tx, found: Principal, registry_uid: str | None) -> tuple[tuple[str, int | None], ...]:
    if found.kind == "admin":
        passwords = select(admin_password.c.uid).where(admin_password.c.registry_uid == registry_uid)
        return tuple((row.uid, None) for row in tx.execute(passwords.order_by(admin_password.c.slot)))
    rows = select(credential.c.uid, credential.c.expires_at).where(credential.c.principal_id == found.id)
    secrets = tuple((row.uid, row.expires_at) for row in tx.execute(rows.order_by(credential.c.slot)))
    if found.kind != "service_principal":
        return secrets
    keys = select(certificate.c.uid, certificate.c.expires_at).where(certificate.c.principal_id == found.id)
    return secrets + tuple((row.uid, row.expires_at) for row in tx.execute(keys.order_by(certificate.c.uid)))


def _list_roles_of(tx: Tx, principal_id: int) -> tuple[RoleAssignment, ...]:
    columns = (role_assignment.c.role_definition_id, role_assignment.c.scope, role_assignment.c.condition)
    mine = select(*columns).where(role_assignment.c.principal_id == principal_id)
    return tuple(
        RoleAssignment(row.role_definition_id, row.scope, row.condition)
        for row in tx.execute(mine.order_by(role_assignment.c.scope_key, role_assignment.c.id))
    )


def _run_holder(tx: Tx, row: Row[Any], tenant_id: str) -> Holder:
    """With the roles that its caller has now, where the run has a caller's rights."""
    enabled = (principal.c.object_id == row.caller) & (principal.c.status == ENABLED)
    caller = None if row.caller is None else tx.execute(select(principal.c.id).where(enabled)).scalar()
    return Holder(
        principal=Principal(
            id=-row.id, object_id=row.run_uid, kind="run", name=f"run.{row.run_uid}", tenant_id=tenant_id
        ),
        registry_uid=row.registry_uid,
        assignments=() if caller is None else _list_roles_of(tx, caller),
        credentials=((row.uid, row.expires_at),),
    )


# --- secrets --------------------------------------------------------------------------------------------------------


def put_credential(tx: Tx, principal_id: int, slot: str, *, uid: str, hash_: str, expires_at: int | None) -> None:
    """Create or replace what stands in the slot."""
    here = (credential.c.principal_id == principal_id) & (credential.c.slot == slot)
    tx.execute(delete(credential).where(here))
    values: dict[str, Any] = {
        "uid": uid,
        "principal_id": principal_id,
        "slot": slot,
        "hash": hash_,
        "expires_at": expires_at,
        "created_at": tx.now_us,
    }
    tx.execute(insert(credential).values(values))


def list_credentials(tx: Tx, principal_id: int) -> list[StoredCredential]:
    rows = tx.execute(select(credential).where(credential.c.principal_id == principal_id).order_by(credential.c.slot))
    return [StoredCredential(uid=row.uid, slot=row.slot, hash=row.hash, expires_at=row.expires_at) for row in rows]


def add_admin_password(tx: Tx, registry_uid: str, slot: str, *, uid: str, sealed: bytes) -> None:
    """Keeps the one that is there."""
    values = {"registry_uid": registry_uid, "slot": slot, "uid": uid, "sealed": sealed, "created_at": tx.now_us}
    tx.execute(insert_ignore(tx.dialect, admin_password, values))


def replace_admin_password(tx: Tx, registry_uid: str, slot: str, *, uid: str, sealed: bytes) -> None:
    here = (admin_password.c.registry_uid == registry_uid) & (admin_password.c.slot == slot)
    tx.execute(update(admin_password).where(here).values(uid=uid, sealed=sealed, created_at=tx.now_us))


def list_admin_passwords(tx: Tx, registry_uid: str) -> list[tuple[str, str, bytes]]:
    """(slot, uid, sealed), `password` before `password2`."""
    mine = select(admin_password).where(admin_password.c.registry_uid == registry_uid)
    return [(row.slot, row.uid, row.sealed) for row in tx.execute(mine.order_by(admin_password.c.slot))]


def put_run_credential(
    tx: Tx, run_uid: str, registry_uid: str, *, uid: str, hash_: str, expires_at: int, caller: str | None
) -> None:
    """Create, or replace that of an earlier attempt of the same run."""
    delete_run_credential(tx, run_uid)
    values: dict[str, Any] = {
        "uid": uid,
        "run_uid": run_uid,
        "registry_uid": registry_uid,
        "hash": hash_,
        "expires_at": expires_at,
        "created_at": tx.now_us,
        "caller": caller,
    }
    tx.execute(insert(run_credential).values(values))


def delete_run_credential(tx: Tx, run_uid: str) -> None:
    tx.execute(delete(run_credential).where(run_credential.c.run_uid == run_uid))


def delete_expired_run_credentials(tx: Tx) -> int:
    return tx.execute(delete(run_credential).where(run_credential.c.expires_at <= tx.now_us)).rowcount


def find_run(tx: Tx, run_uid: str, tenant_id: str) -> tuple[Holder, str] | None:
    """The run's holder and the hash of its password."""
    row = tx.execute(select(run_credential).where(run_credential.c.run_uid == run_uid)).first()
    return None if row is None else (_run_holder(tx, row, tenant_id), row.hash)


# --- role assignments -----------------------------------------------------------------------------------------------


def insert_assignment(tx: Tx, principal_id: int, assignment: StoredAssignment) -> bool:
    """False when the principal already holds this role at this scope, or the id is taken."""
    values: dict[str, Any] = {
        "id": assignment.id,
        "scope": assignment.scope,
        "scope_key": assignment.scope.lower(),
        "principal_id": principal_id,
        "role_definition_id": assignment.role_definition_id,
        "condition": assignment.condition,
        "condition_version": assignment.condition_version,
        "description": assignment.description,
        "created_by": assignment.created_by,
        "created_at": assignment.created_at,
    }
    added = insert_ignore(tx.dialect, role_assignment, values).returning(role_assignment.c.id)
    return tx.execute(added).first() is not None


def _select_assignments() -> Any:
    return select(role_assignment, principal.c.object_id, principal.c.kind).join(
        principal, principal.c.id == role_assignment.c.principal_id
    )


def find_assignment(tx: Tx, id_: str) -> StoredAssignment | None:
    row = tx.execute(_select_assignments().where(role_assignment.c.id == id_)).first()
    return None if row is None else _assignment(row)


def list_assignments(tx: Tx, *, below: str | None = None, object_id: str | None = None) -> list[StoredAssignment]:
    """At or below an ARM scope (None: everywhere), of one principal (None: of all), in the order of scopes."""
    query = _select_assignments()
    if below is not None:
        key = below.rstrip("/").lower()
        query = query.where(
            (role_assignment.c.scope_key == key) | role_assignment.c.scope_key.startswith(f"{key}/", autoescape=True)
        )
    if object_id is not None:
        query = query.where(principal.c.object_id == object_id)
    rows: Sequence[Row[Any]] = tx.execute(query.order_by(role_assignment.c.scope_key, role_assignment.c.id)).all()
    return [_assignment(row) for row in rows]


def find_same_assignment(tx: Tx, principal_id: int, role_definition_id: str, scope: str) -> StoredAssignment | None:
    """The principal's own with this role at exactly this scope."""
    here = (role_assignment.c.principal_id == principal_id) & (role_assignment.c.scope_key == scope.lower())
    row = tx.execute(
        _select_assignments().where(here, role_assignment.c.role_definition_id == role_definition_id)
    ).first()
    return None if row is None else _assignment(row)


def list_assignments_at(tx: Tx, scopes: Sequence[str], *, object_id: str | None = None) -> list[StoredAssignment]:
    """At exactly these ARM scopes, in their order; of one principal (None: of all)."""
    query = _select_assignments().where(role_assignment.c.scope_key.in_([scope.lower() for scope in scopes]))
    if object_id is not None:
        query = query.where(principal.c.object_id == object_id)
    rows: Sequence[Row[Any]] = tx.execute(query.order_by(role_assignment.c.scope_key, role_assignment.c.id)).all()
    return [_assignment(row) for row in rows]


def update_assignment(tx: Tx, assignment: StoredAssignment) -> None:
    """Its condition and description; who it is for, what and where never changes."""
    tx.execute(
        update(role_assignment)
        .where(role_assignment.c.id == assignment.id)
        .values(
            condition=assignment.condition,
            condition_version=assignment.condition_version,
            description=assignment.description,
            updated_by=assignment.updated_by,
            updated_at=assignment.updated_at,
        )
    )


def delete_assignment(tx: Tx, id_: str) -> None:
    tx.execute(delete(role_assignment).where(role_assignment.c.id == id_))


def _assignment(row: Row[Any]) -> StoredAssignment:
    return StoredAssignment(
        id=row.id,
        scope=row.scope,
        object_id=row.object_id,
        principal_kind=row.kind,
        role_definition_id=row.role_definition_id,
        condition=row.condition,
        condition_version=row.condition_version,
        description=row.description,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_by=row.updated_by,
        updated_at=row.updated_at,
    )


# --- keys -----------------------------------------------------------------------------------------------------------


def list_signing_keys(tx: Tx) -> list[StoredKey]:
    """The newest first."""
    rows = tx.execute(select(signing_key).order_by(signing_key.c.not_before.desc(), signing_key.c.kid))
    return [
        StoredKey(
            kid=row.kid,
            use=row.use,
            public=row.public,
            wrapped_private=row.wrapped_private,
            not_before=row.not_before,
            retire_at=row.retire_at,
        )
        for row in rows
    ]


def insert_signing_key(tx: Tx, key: StoredKey) -> None:
    values = {
        "kid": key.kid,
        "use": key.use,
        "public": key.public,
        "wrapped_private": key.wrapped_private,
        "not_before": key.not_before,
        "retire_at": key.retire_at,
    }
    tx.execute(insert(signing_key).values(values))


def delete_retired_keys(tx: Tx) -> int:
    return tx.execute(delete(signing_key).where(signing_key.c.retire_at <= tx.now_us)).rowcount


def find_hash_key(tx: Tx, name: str) -> bytes | None:
    """Sealed."""
    return tx.execute(select(hash_key.c.sealed).where(hash_key.c.name == name)).scalar()


def add_hash_key(tx: Tx, name: str, sealed: bytes) -> None:
    """Keeps the one that is there."""
    tx.execute(insert_ignore(tx.dialect, hash_key, {"name": name, "sealed": sealed, "created_at": tx.now_us}))
