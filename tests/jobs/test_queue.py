"""Enqueueing and claiming: idempotent, limited, fenced."""

from __future__ import annotations

import threading

import pytest

from darsena.db import Database, Tx
from darsena.jobs import Job, enqueue, queue, store
from darsena.jobs.lease import LEASE_S, LeaseWatch
from darsena.testing import FakeClock
from jobs.rows import find_job


def claim(tx: Tx, owner: str = "a", limit: int = 10, kind: str = "gc") -> Job | None:
    until_us = tx.now_us + LEASE_S * 1_000_000
    return store.claim(tx, kind, owner=owner, limit=limit, now_us=tx.now_us, lease_until_us=until_us)


def claimed(db: Database, owner: str = "a") -> Job:
    job = db.transact_sync(claim, owner)
    assert job is not None
    return job


def status(db: Database, key: str = "k") -> str:
    job = db.read_sync(find_job, "gc", key)
    return "" if job is None else job.status


def test_the_same_kind_and_key_is_enqueued_once(db: Database) -> None:
    assert db.transact_sync(enqueue, "gc", "k", b"first")
    assert not db.transact_sync(enqueue, "gc", "k", b"second")
    assert db.transact_sync(enqueue, "heal", "k")
    assert claimed(db).body == b"first"


def test_a_replayed_event_is_absorbed_for_seven_days_after_the_end(db: Database, clock: FakeClock) -> None:
    db.transact_sync(enqueue, "gc", "k")
    assert db.transact_sync(store.finish, claimed(db), "a")
    clock.advance(6 * 24 * 3600)
    db.transact_sync(queue.prune)
    assert not db.transact_sync(enqueue, "gc", "k")
    clock.advance(25 * 3600)
    assert db.transact_sync(queue.prune) == 1
    assert db.transact_sync(enqueue, "gc", "k")


def test_a_failed_job_stays_with_its_error(db: Database, clock: FakeClock) -> None:
    db.transact_sync(enqueue, "gc", "k")
    db.transact_sync(store.fail, claimed(db), "a", "the disk is gone")
    clock.advance(8 * 24 * 3600)
    db.transact_sync(queue.prune)
    failed = db.read_sync(find_job, "gc", "k")
    assert failed is not None
    assert (failed.status, failed.last_error, failed.attempt) == ("Failed", "the disk is gone", 1)


def test_the_one_that_waited_longest_comes_first_and_none_before_its_time(db: Database, clock: FakeClock) -> None:
    now_us = clock.now_us()
    db.transact_sync(lambda tx: enqueue(tx, "gc", "later", run_after_us=now_us + 5_000_000))
    db.transact_sync(lambda tx: enqueue(tx, "gc", "second", run_after_us=now_us - 1))
    db.transact_sync(lambda tx: enqueue(tx, "gc", "first", run_after_us=now_us - 2))
    assert [claimed(db).key, claimed(db).key] == ["first", "second"]
    assert db.transact_sync(claim) is None
    clock.advance(5)
    assert claimed(db).key == "later"


def test_the_limit_counts_what_runs_under_a_live_lease(db: Database, clock: FakeClock) -> None:
    for key in ("one", "two"):
        db.transact_sync(enqueue, "gc", key)
    assert db.transact_sync(claim, "a", 1) is not None
    assert db.transact_sync(claim, "b", 1) is None
    clock.advance(LEASE_S)
    assert db.transact_sync(claim, "b", 1) is not None


def test_whoever_lost_the_lease_writes_nothing(db: Database, clock: FakeClock) -> None:
    db.transact_sync(enqueue, "gc", "k")
    lost = claimed(db, "a")
    clock.advance(LEASE_S)
    held = claimed(db, "b")
    assert (held.id, held.fence, held.attempt) == (lost.id, lost.fence + 1, 2)
    assert not db.transact_sync(store.finish, lost, "a")
    assert not db.transact_sync(store.fail, lost, "a", "late")
    assert not db.transact_sync(store.extend, lost, "a", clock.now_us())
    assert not db.transact_sync(store.retry_later, lost, "a", "late", clock.now_us())
    assert status(db) == "Running"
    assert db.transact_sync(store.finish, held, "b")
    assert not db.transact_sync(store.finish, held, "b")


def test_many_claimers_never_claim_the_same_job(db: Database) -> None:
    for index in range(40):
        db.transact_sync(enqueue, "gc", str(index))
    taken: list[int] = []
    lock = threading.Lock()

    def work(owner: str) -> None:
        while True:
            job = db.transact_sync(claim, owner, 1000)
            if job is None:
                return
            with lock:
                taken.append(job.id)

    threads = [threading.Thread(target=work, args=(str(index),)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 40


@pytest.mark.parametrize(("wall_s", "settled_again"), [(0, True), (3600, False), (-3600, False)])
def test_lapsed_leases_count_one_lease_after_a_start_or_a_jump_of_the_clock(
    clock: FakeClock, wall_s: int, settled_again: bool
) -> None:
    monotonic = 0.0
    watch = LeaseWatch(clock, monotonic=lambda: monotonic)

    def pass_time(seconds: int) -> None:
        nonlocal monotonic
        monotonic += seconds
        clock.advance(seconds)

    assert not watch.is_settled()
    pass_time(LEASE_S - 1)
    assert not watch.is_settled()
    pass_time(1)
    assert watch.is_settled()
    clock.advance(wall_s)
    assert watch.is_settled() is settled_again
    pass_time(LEASE_S)
    assert watch.is_settled()
