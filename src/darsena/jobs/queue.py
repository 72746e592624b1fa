"""Putting jobs into the queue, inside the transaction of the fact that calls for them."""

from __future__ import annotations

from darsena.db import Tx
from darsena.jobs import store
from darsena.jobs.lease import lease_now_us
from darsena.jobs.wake import Wake

WAKE = Wake()
"""Notified after a commit that enqueued something, for the runner of this process."""

KEEP_SUCCEEDED_US = 7 * 24 * 3600 * 1_000_000
KEEP_FAILED_US = 30 * 24 * 3600 * 1_000_000


def enqueue(tx: Tx, kind: str, key: str, body: bytes = b"", *, run_after_us: int | None = None) -> bool:
    """Idempotent on (kind, key): False, and nothing changes, when there is one, or one that ended in the last days.

    What must be able to happen again carries what tells the occasions apart in its key.
    """
    is_new = store.insert(tx, kind, key, body, lease_now_us(tx) if run_after_us is None else run_after_us)
    if is_new:
        tx.after_commit(WAKE.notify)
    return is_new


def prune(tx: Tx) -> int:
    """Forget jobs that succeeded seven days ago, or failed thirty days ago."""
    return store.delete_finished(tx, "Succeeded", tx.now_us - KEEP_SUCCEEDED_US) + store.delete_finished(
        tx, "Failed", tx.now_us - KEEP_FAILED_US
    )
