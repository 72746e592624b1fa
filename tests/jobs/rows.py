"""What became of a job, as its row has it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from darsena.db import Tx
from darsena.jobs.tables import job


def find_job(tx: Tx, kind: str, key: str) -> Row[Any] | None:
    return tx.execute(select(job).where(job.c.kind == kind, job.c.key == key)).one_or_none()
