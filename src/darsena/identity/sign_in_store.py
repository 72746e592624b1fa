"""SQL of sign-ins: families of refresh tokens, authorization codes, device codes. Codes are looked up by their hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from darsena.db import Tx
from darsena.db.dialects import insert_ignore, lock_for_update
from darsena.identity.sign_in_tables import device_code, sign_in, sign_in_code

PENDING = "pending"
APPROVED = "approved"
DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What a sign-in rests on: a principal at a version, and one of its credentials."""

    principal_id: int
    credential: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignIn:
    uid: str
    root: Root
    client_id: str
    scope: str
    generation: int
    rotated_at: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCode:
    root: Root
    client_id: str
    redirect_uri: str
    scope: str
    challenge: str | None
    nonce: str | None
    sign_in_uid: str | None
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDevice:
    user_code: str
    client_id: str
    scope: str
    status: str
    root: Root | None
    polled_at: int | None
    expires_at: int


# --- sign-ins -------------------------------------------------------------------------------------------------------


def insert_sign_in(tx: Tx, value: StoredSignIn, keep: int) -> None:
    """Of a principal's sign-ins the `keep` that were used last stay."""
    mine = select(sign_in.c.uid).where(sign_in.c.principal_id == value.root.principal_id)
    unused = tx.execute(mine.order_by(sign_in.c.rotated_at.desc(), sign_in.c.uid).offset(keep - 1)).scalars().all()
    if unused:
        tx.execute(delete(sign_in).where(sign_in.c.uid.in_(unused)))
    values = {
        "uid": value.uid,
        "principal_id": value.root.principal_id,
        "credential": value.root.credential,
        "version": value.root.version,
        "client_id": value.client_id,
        "scope": value.scope,
        "generation": value.generation,
        "rotated_at": value.rotated_at,
        "expires_at": value.expires_at,
        "created_at": tx.now_us,
    }
    tx.execute(insert(sign_in).values(values))


def find_sign_in(tx: Tx, uid: str) -> StoredSignIn | None:
    """Held against other writers until the end of the transaction."""
    row = tx.execute(lock_for_update(tx.dialect, select(sign_in).where(sign_in.c.uid == uid))).first()
    if row is None:
        return None
    return StoredSignIn(
        uid=row.uid,
        root=_root(row),
        client_id=row.client_id,
        scope=row.scope,
        generation=row.generation,
        rotated_at=row.rotated_at,
        expires_at=row.expires_at,
    )


def rotate_sign_in(tx: Tx, uid: str, generation: int, expires_at: int) -> None:
    values = {"generation": generation, "rotated_at": tx.now_us, "expires_at": expires_at}
    tx.execute(update(sign_in).where(sign_in.c.uid == uid).values(values))


def delete_sign_in(tx: Tx, uid: str) -> None:
    tx.execute(delete(sign_in).where(sign_in.c.uid == uid))


def delete_sign_ins_of(tx: Tx, principal_id: int) -> None:
    tx.execute(delete(sign_in).where(sign_in.c.principal_id == principal_id))


# --- authorization codes --------------------------------------------------------------------------------------------


def insert_code(tx: Tx, hash_: str, value: StoredCode) -> None:
    values = {
        "hash": hash_,
        "principal_id": value.root.principal_id,
        "credential": value.root.credential,
        "version": value.root.version,
        "client_id": value.client_id,
        "redirect_uri": value.redirect_uri,
        "scope": value.scope,
        "challenge": value.challenge,
        "nonce": value.nonce,
        "sign_in_uid": None,
        "expires_at": value.expires_at,
    }
    tx.execute(insert(sign_in_code).values(values))


def find_code(tx: Tx, hash_: str) -> StoredCode | None:
    row = tx.execute(lock_for_update(tx.dialect, select(sign_in_code).where(sign_in_code.c.hash == hash_))).first()
    if row is None:
        return None
    return StoredCode(
        root=_root(row),
        client_id=row.client_id,
        redirect_uri=row.redirect_uri,
        scope=row.scope,
        challenge=row.challenge,
        nonce=row.nonce,
        sign_in_uid=row.sign_in_uid,
        expires_at=row.expires_at,
    )


def mark_code_used(tx: Tx, hash_: str, sign_in_uid: str) -> None:
    tx.execute(update(sign_in_code).where(sign_in_code.c.hash == hash_).values(sign_in_uid=sign_in_uid))


# --- device codes ---------------------------------------------------------------------------------------------------


def insert_device(tx: Tx, hash_: str, value: StoredDevice) -> bool:
    """False when the user code is taken."""
    values: dict[str, Any] = {
        "hash": hash_,
        "user_code": value.user_code,
        "client_id": value.client_id,
        "scope": value.scope,
        "status": value.status,
        "expires_at": value.expires_at,
    }
    added = insert_ignore(tx.dialect, device_code, values).returning(device_code.c.hash)
    return tx.execute(added).first() is not None


def count_devices(tx: Tx) -> int:
    return tx.execute(select(func.count()).select_from(device_code)).scalar_one()


def find_device(tx: Tx, hash_: str) -> StoredDevice | None:
    row = tx.execute(lock_for_update(tx.dialect, select(device_code).where(device_code.c.hash == hash_))).first()
    return None if row is None else _device(row)


def find_device_by_user_code(tx: Tx, user_code: str) -> StoredDevice | None:
    query = select(device_code).where(device_code.c.user_code == user_code)
    row = tx.execute(lock_for_update(tx.dialect, query)).first()
    return None if row is None else _device(row)


def read_device_by_user_code(tx: Tx, user_code: str) -> StoredDevice | None:
    row = tx.execute(select(device_code).where(device_code.c.user_code == user_code)).first()
    return None if row is None else _device(row)


def decide_device(tx: Tx, user_code: str, status: str, root: Root | None) -> None:
    values: dict[str, Any] = {"status": status}
    if root is not None:
        values |= {"principal_id": root.principal_id, "credential": root.credential, "version": root.version}
    tx.execute(update(device_code).where(device_code.c.user_code == user_code).values(values))


def touch_device(tx: Tx, hash_: str) -> None:
    tx.execute(update(device_code).where(device_code.c.hash == hash_).values(polled_at=tx.now_us))


def delete_device(tx: Tx, hash_: str) -> None:
    tx.execute(delete(device_code).where(device_code.c.hash == hash_))


def delete_expired(tx: Tx) -> int:
    """Of all three kinds; returns how many."""
    return sum(
        tx.execute(delete(table).where(table.c.expires_at <= tx.now_us)).rowcount
        for table in (sign_in, sign_in_code, device_code)
    )


def _root(row: Row[Any]) -> Root:
    return Root(principal_id=row.principal_id, credential=row.credential, version=row.version)


def _device(row: Row[Any]) -> StoredDevice:
    return StoredDevice(
        user_code=row.user_code,
        client_id=row.client_id,
        scope=row.scope,
        status=row.status,
        root=None if row.principal_id is None else _root(row),
        polled_at=row.polled_at,
        expires_at=row.expires_at,
    )
