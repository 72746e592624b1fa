"""SQL of jobs. Every write about a claim carries its owner and fence: no row means that the claim is lost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, or_, select, update

from darsena.db import Tx, dialects
from darsena.db.dialects import insert_ignore
from darsena.jobs.model import Job, JobStatus
from darsena.jobs.tables import job

_ERROR_LENGTH = 2000


def insert(tx: Tx, kind: str, key: str, body: bytes, run_after_us: int) -> bool:
    """False when there is a job of this kind and key, finished ones included while they are kept."""
    values = {
        "kind": kind,
        "key": key,
        "body": body,
        "run_after": run_after_us,
        "attempt": 0,
        "fence": 0,
        "status": "Queued",
    }
    return tx.execute(insert_ignore(tx.dialect, job, values).returning(job.c.id)).one_or_none() is not None


def list_due_kinds(tx: Tx, now_us: int) -> set[str]:
    """Kinds that have a job to claim."""
    return set(tx.execute(select(job.c.kind).where(_is_due(now_us)).distinct()).scalars())


def claim(tx: Tx, kind: str, *, owner: str, limit: int, now_us: int, lease_until_us: int) -> Job | None:
    """The job that has waited longest, unless `limit` of the kind run already. A lapsed claim is taken over."""
    dialects.lock_by_name(tx.connection, f"job:{kind}")
    running = select(func.count()).where(job.c.kind == kind, job.c.status == "Running", job.c.lease_until > now_us)
    if tx.execute(running).scalar_one() >= limit:
        return None
    candidate = select(job.c.id).where(job.c.kind == kind, _is_due(now_us)).order_by(job.c.run_after, job.c.id).limit(1)
    found = tx.execute(dialects.skip_locked(tx.dialect, candidate)).scalar()
    if found is None:
        return None
    taken = (
        update(job)
        .where(job.c.id == found)
        .values(
            status="Running",
            owner=owner,
            lease_until=lease_until_us,
            attempt=job.c.attempt + 1,
            fence=job.c.fence + 1,
        )
        .returning(*job.c)
    )
    return _job(tx.execute(taken).one())


def extend(tx: Tx, claimed: Job, owner: str, lease_until_us: int) -> bool:
    return _write(tx, claimed, owner, lease_until=lease_until_us)


def finish(tx: Tx, claimed: Job, owner: str) -> bool:
    return _write(
        tx, claimed, owner, status="Succeeded", owner=None, lease_until=None, last_error=None, finished_at=tx.now_us
    )


def fail(tx: Tx, claimed: Job, owner: str, error: str) -> bool:
    """For good: the row stays visible with this error."""
    return _write(
        tx,
        claimed,
        owner,
        status="Failed",
        owner=None,
        lease_until=None,
        last_error=error[:_ERROR_LENGTH],
        finished_at=tx.now_us,
    )


def retry_later(tx: Tx, claimed: Job, owner: str, error: str, run_after_us: int) -> bool:
    return _write(
        tx,
        claimed,
        owner,
        status="Queued",
        owner=None,
        lease_until=None,
        last_error=error[:_ERROR_LENGTH],
        run_after=run_after_us,
    )


def give_back(tx: Tx, claimed: Job, owner: str) -> bool:
    """As if it had not been claimed, but for the fence."""
    return _write(tx, claimed, owner, status="Queued", owner=None, lease_until=None, attempt=job.c.attempt - 1)


def delete_finished(tx: Tx, status: JobStatus, before_us: int) -> int:
    statement = delete(job).where(job.c.status == status, job.c.finished_at < before_us)
    return len(tx.execute(statement.returning(job.c.id)).all())


def _is_due(now_us: int) -> Any:
    waiting = (job.c.status == "Queued") & (job.c.run_after <= now_us)
    lapsed = (job.c.status == "Running") & (job.c.lease_until <= now_us)
    return or_(waiting, lapsed)


def _write(tx: Tx, claimed: Job, owner: str, /, **values: Any) -> bool:
    held = (job.c.id == claimed.id) & (job.c.fence == claimed.fence) & (job.c.owner == owner)
    statement = update(job).where(held, job.c.status == "Running").values(**values)
    return tx.execute(statement.returning(job.c.id)).one_or_none() is not None


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        key=row.key,
        body=row.body,
        status=row.status,
        attempt=row.attempt,
        fence=row.fence,
        last_error=row.last_error,
    )
