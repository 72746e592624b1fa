"""The stamp: one deployable unit serving a region, with its one tenant and one subscription."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, String, Table, insert, select

from darsena.core.ids import new_guid
from darsena.db.database import Tx
from darsena.db.tables import metadata

stamp = Table(
    "stamp",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("region", String, nullable=False),
    Column("tenant_id", String(36), nullable=False),
    Column("subscription_id", String(36), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    uid: str
    region: str
    tenant_id: str
    subscription_id: str


def ensure_stamp(tx: Tx, uid: str, region: str) -> Stamp:
    """The row of this stamp, made with fresh GUIDs on first start."""
    row = tx.execute(select(stamp).where(stamp.c.uid == uid)).first()
    if row is not None:
        return Stamp(uid=row.uid, region=row.region, tenant_id=row.tenant_id, subscription_id=row.subscription_id)
    made = Stamp(uid=uid, region=region, tenant_id=new_guid(), subscription_id=new_guid())
    tx.execute(
        insert(stamp).values(
            uid=uid,
            region=region,
            tenant_id=made.tenant_id,
            subscription_id=made.subscription_id,
            created_at=tx.now_us,
        )
    )
    return made
