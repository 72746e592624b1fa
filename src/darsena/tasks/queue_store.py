"""SQL of the queue: who waits, who holds what under which lease and fence.

A write of an agent names run, owner and fence. No row means that the run is lost to it: it is held by somebody else,
or has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, delete, func, insert, or_, select, true, update

from darsena.db import Tx, dialects
from darsena.tasks.model import Claimant, Ending, Held, Run
from darsena.tasks.platforms import normalize_platform
from darsena.tasks.tables import run_queue

PATIENCE_US = 10 * 60 * 1_000_000
"""A run that has waited so long is not passed by smaller ones any more."""


def insert_held(tx: Tx, run: Run, pool: str, *, prio: int = 0) -> None:
    tx.execute(
        insert(run_queue).values(
            id=run.id,
            uid=run.uid,
            registry_uid=run.registry_uid,
            pool=pool,
            prio=prio,
            platform=normalize_platform(str(run.platform)),
            cpu=run.cpu,
            source_name=run.source_name,
            queued_at=tx.now_us,
            attempt=0,
            fence=0,
            cancel_requested=False,
        )
    )


def count_of_registry(tx: Tx, registry_uid: str) -> int:
    return tx.execute(select(func.count()).where(run_queue.c.registry_uid == registry_uid)).scalar_one()


def has_waiting(tx: Tx, pool: str) -> bool:
    statement = select(run_queue.c.id).where(run_queue.c.pool == pool, run_queue.c.owner.is_(None)).limit(1)
    return tx.execute(statement).first() is not None


def has_any(tx: Tx) -> bool:
    return tx.execute(select(run_queue.c.id).limit(1)).first() is not None


def find_held(tx: Tx, uid: str) -> Held | None:
    row = tx.execute(select(run_queue).where(run_queue.c.uid == uid)).one_or_none()
    return None if row is None else _held(row)


# --- claiming ---------------------------------------------------------------------------------------------------


def claim(
    tx: Tx, claimant: Claimant, *, agent_cpu: int, pool_cpu: int | None, now_us: int, lease_until_us: int
) -> Held | None:
    """The run that is next and fits: fair between registries, then by priority, then the one that waited longest.

    A run asks for no more than the agent has. Whoever has waited ten minutes is not passed by.
    """
    dialects.lock_by_name(tx.connection, f"run-pool:{claimant.pool}")
    free = min(claimant.cpu, agent_cpu - _cpu_held(tx, now_us, run_queue.c.owner == claimant.agent))
    if pool_cpu is not None:
        free = min(free, pool_cpu - _cpu_held(tx, now_us, run_queue.c.pool == claimant.pool))
        agent_cpu = min(agent_cpu, pool_cpu)
    if free < 1:
        return None
    wanted = case((run_queue.c.cpu > agent_cpu, agent_cpu), else_=run_queue.c.cpu)
    waiting = _waiting(claimant, now_us)
    head = tx.execute(waiting.add_columns(wanted.label("wanted")).limit(1)).first()
    if head is None:
        return None
    if head.wanted > free:
        if now_us - head.queued_at > PATIENCE_US:
            return None
        head = tx.execute(waiting.add_columns(wanted.label("wanted")).where(wanted <= free).limit(1)).first()
        if head is None:
            return None
    taken = (
        update(run_queue)
        .where(run_queue.c.id == head.id, run_queue.c.owner.is_(None))
        .values(
            owner=claimant.agent,
            lease_until=lease_until_us,
            cpu=head.wanted,
            attempt=run_queue.c.attempt + 1,
            fence=run_queue.c.fence + 1,
        )
        .returning(run_queue)
    )
    row = tx.execute(taken).one_or_none()
    return None if row is None else _held(row)


def _cpu_held(tx: Tx, now_us: int, where: ColumnElement[bool]) -> int:
    """What is held by live agents; the dead one's processors are free when its lease has lapsed."""
    live = (run_queue.c.lease_until > now_us) & run_queue.c.end_status.is_(None)
    return int(tx.execute(select(func.coalesce(func.sum(run_queue.c.cpu), 0)).where(where, live)).scalar_one())


def _waiting(claimant: Claimant, now_us: int) -> Any:
    busy = (
        select(run_queue.c.registry_uid.label("busy_registry"), func.count().label("busy"))
        .where(run_queue.c.pool == claimant.pool, run_queue.c.lease_until > now_us)
        .group_by(run_queue.c.registry_uid)
        .subquery()
    )
    return (
        select(run_queue.c.id, run_queue.c.queued_at)
        .outerjoin(busy, busy.c.busy_registry == run_queue.c.registry_uid)
        .where(
            run_queue.c.pool == claimant.pool,
            run_queue.c.owner.is_(None),
            run_queue.c.platform.in_(claimant.platforms),
        )
        .order_by(func.coalesce(busy.c.busy, 0), run_queue.c.prio.desc(), run_queue.c.id)
    )


# --- an agent's writes ------------------------------------------------------------------------------------------


def extend(tx: Tx, uid: str, owner: str, fence: int, lease_until_us: int) -> Held | None:
    return _write(tx, _held_by(uid, owner, fence), lease_until=lease_until_us)


def set_deadline(tx: Tx, uid: str, deadline_us: int) -> None:
    tx.execute(update(run_queue).where(run_queue.c.uid == uid).values(deadline=deadline_us))


def give_back(tx: Tx, uid: str, owner: str, fence: int) -> Held | None:
    return _write(tx, _held_by(uid, owner, fence), owner=None, lease_until=None)


def remove(tx: Tx, uid: str, owner: str, fence: int) -> Held | None:
    """The run has ended: its row goes, and with it everybody's right to write."""
    row = tx.execute(delete(run_queue).where(_held_by(uid, owner, fence)).returning(run_queue)).one_or_none()
    return None if row is None else _held(row)


def check(tx: Tx, uid: str, fence: int, owner: str | None = None) -> Held | None:
    """The row, while it is held by an agent under this fence."""
    held = find_held(tx, uid)
    if held is None or held.fence != fence or held.owner is None or held.end_status is not None:
        return None
    return held if owner is None or held.owner == owner else None


# --- the server's ------------------------------------------------------------------------------------------------


def request_cancel(tx: Tx, uid: str, deadline_us: int) -> bool:
    """True when an agent holds it. The server ends the run itself at the deadline."""
    sooner = case((run_queue.c.deadline < deadline_us, run_queue.c.deadline), else_=deadline_us)
    held = (run_queue.c.uid == uid) & run_queue.c.owner.is_not(None) & run_queue.c.end_status.is_(None)
    return _write(tx, held, cancel_requested=True, deadline=sooner) is not None


def take_waiting(tx: Tx, uid: str, ending: Ending, *, owner: str, lease_until_us: int) -> Held | None:
    """Take a run that nobody holds, to end it."""
    waiting = (run_queue.c.uid == uid) & run_queue.c.owner.is_(None)
    return _write(tx, waiting, **_taking(owner, lease_until_us), end_status=ending.status, end_error=ending.error)


def take_lapsed(tx: Tx, *, owner: str, error: str, now_us: int, lease_until_us: int) -> list[Held]:
    """Take every run whose holder's lease is over. One that was being ended already keeps its ending."""
    return _take(tx, run_queue.c.lease_until <= now_us, owner, lease_until_us, "Error", error)


def take_overdue(tx: Tx, *, owner: str, error: str, now_us: int, lease_until_us: int) -> list[Held]:
    """Take every run whose agent has not ended it although its time, or the patience with its cancel, is over."""
    overdue = (run_queue.c.deadline <= now_us) & run_queue.c.end_status.is_(None)
    status = case((run_queue.c.cancel_requested.is_(true()), "Canceled"), else_="Timeout")
    text = case((run_queue.c.cancel_requested.is_(true()), None), else_=error)
    return _take(tx, overdue & run_queue.c.owner.is_not(None), owner, lease_until_us, status, text)


def take_lost(tx: Tx, uids: Sequence[str], *, owner: str, error: str, lease_until_us: int) -> list[Held]:
    """Take these runs, as far as agents hold them."""
    held = run_queue.c.owner.is_not(None) & run_queue.c.end_status.is_(None)
    return _take(tx, run_queue.c.uid.in_(uids) & held, owner, lease_until_us, "Error", error)


def shorten_leases(tx: Tx, lease_until_us: int) -> None:
    """No lease may be longer than one lease from now: the clock was set back."""
    tx.execute(update(run_queue).where(run_queue.c.lease_until > lease_until_us).values(lease_until=lease_until_us))


def list_waiting(tx: Tx, pool: str) -> list[Held]:
    """In the order in which they were queued."""
    statement = select(run_queue).where(run_queue.c.pool == pool, run_queue.c.owner.is_(None))
    return [_held(row) for row in tx.execute(statement.order_by(run_queue.c.id).limit(1000))]


def list_held_by(tx: Tx, agent: str) -> list[Held]:
    return [_held(row) for row in tx.execute(select(run_queue).where(run_queue.c.owner == agent))]


def count_before(tx: Tx, held: Held, pool: str) -> int:
    """How many wait in front of it, were there no other registries to be fair to."""
    mine = select(run_queue.c.prio).where(run_queue.c.id == held.id).scalar_subquery()
    ahead = or_(run_queue.c.prio > mine, and_(run_queue.c.prio == mine, run_queue.c.id < held.id))
    statement = select(func.count()).where(run_queue.c.pool == pool, run_queue.c.owner.is_(None), ahead)
    return tx.execute(statement).scalar_one()


def cpu_held_in(tx: Tx, pool: str, now_us: int) -> int:
    return _cpu_held(tx, now_us, run_queue.c.pool == pool)


def delete_of_registry(tx: Tx, registry_uid: str) -> list[str]:
    """Uids of the runs that had not ended."""
    statement = delete(run_queue).where(run_queue.c.registry_uid == registry_uid).returning(run_queue.c.uid)
    return list(tx.execute(statement).scalars())


# --- inside -----------------------------------------------------------------------------------------------------


def _held_by(uid: str, owner: str, fence: int) -> ColumnElement[bool]:
    return and_(run_queue.c.uid == uid, run_queue.c.owner == owner, run_queue.c.fence == fence)


def _taking(owner: str, lease_until_us: int) -> dict[str, Any]:
    return {"owner": owner, "lease_until": lease_until_us, "fence": run_queue.c.fence + 1}


def _take(tx: Tx, where: ColumnElement[bool], owner: str, lease_until_us: int, status: Any, error: Any) -> list[Held]:
    """One UPDATE, so that of many reapers one gets each row."""
    is_ending = run_queue.c.end_status.is_not(None)
    values = _taking(owner, lease_until_us) | {
        "end_error": case((is_ending, run_queue.c.end_error), else_=error),
        "end_status": case((is_ending, run_queue.c.end_status), else_=status),
    }
    rows = tx.execute(update(run_queue).where(where).values(values).returning(run_queue))
    return [_held(row) for row in rows]


def _write(tx: Tx, where: ColumnElement[bool], **values: Any) -> Held | None:
    row = tx.execute(update(run_queue).where(where).values(values).returning(run_queue)).one_or_none()
    return None if row is None else _held(row)


def _held(row: Row[Any]) -> Held:
    return Held(
        id=row.id,
        uid=row.uid,
        registry_uid=row.registry_uid,
        platform=row.platform,
        cpu=row.cpu,
        owner=row.owner,
        lease_until_us=row.lease_until,
        fence=row.fence,
        attempt=row.attempt,
        cancel_requested=row.cancel_requested,
        end_status=row.end_status,
        end_error=row.end_error,
    )
