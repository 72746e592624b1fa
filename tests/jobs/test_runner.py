"""The runner: each job ends once, is retried with growing waits, and survives whatever happens to its process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Row

from darsena.db import Database
from darsena.jobs import Hopeless, Job, JobKind, JobRunner, enqueue, store
from darsena.jobs.lease import LEASE_S
from darsena.jobs.wake import Wake
from darsena.testing import FakeClock
from jobs.rows import find_job


def kind(handler: Callable[[Job], Awaitable[None]], **policy: float) -> JobKind:
    return JobKind(name="gc", handler=handler, **policy)  # type: ignore[arg-type]


def find(db: Database, key: str = "k") -> Row[Any]:
    job = db.read_sync(find_job, "gc", key)
    assert job is not None
    return job


async def test_a_job_is_run_to_its_end(db: Database) -> None:
    seen: list[bytes] = []

    async def handler(job: Job) -> None:
        seen.append(job.body)

    await db.transact(enqueue, "gc", "k", b"body")
    assert await JobRunner(db, [kind(handler)]).run_due() == 1
    assert seen == [b"body"]
    assert find(db).status == "Succeeded"


async def test_retries_wait_longer_each_time_and_end(db: Database, clock: FakeClock) -> None:
    runs: list[int] = []

    async def handler(job: Job) -> None:
        runs.append(clock.now_us())
        raise OSError("no route to host")

    runner = JobRunner(db, [kind(handler, attempts=4, first_retry_s=10, longest_retry_s=30)])
    await db.transact(enqueue, "gc", "k")
    for _ in range(120):
        await runner.run_due()
        clock.advance(1)
    waits = [(after - before) / 1_000_000 for before, after in itertools.pairwise(runs)]
    assert waits == [10, 20, 30]
    failed = find(db)
    assert (failed.status, failed.last_error, failed.attempt) == ("Failed", "OSError: no route to host", 4)


async def test_a_hopeless_job_fails_at_once(db: Database) -> None:
    async def handler(job: Job) -> None:
        raise Hopeless("its registry is gone")

    await db.transact(enqueue, "gc", "k")
    await JobRunner(db, [kind(handler)]).run_due()
    assert (find(db).status, find(db).last_error) == ("Failed", "its registry is gone")


async def test_no_more_than_the_limit_at_once_and_other_kinds_are_left_alone(db: Database) -> None:
    now = most = 0
    pair = asyncio.Barrier(2)

    async def handler(job: Job) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await pair.wait()
        now -= 1

    for index in range(6):
        await db.transact(enqueue, "gc", str(index))
    await db.transact(enqueue, "somebody-else's", "k")
    assert await JobRunner(db, [kind(handler, limit=2)]).run_due() == 6
    assert most == 2


async def test_a_crashed_process_s_job_is_run_again_after_its_lease(db: Database, clock: FakeClock) -> None:
    runs: list[int] = []

    async def handler(job: Job) -> None:
        runs.append(job.attempt)

    await db.transact(enqueue, "gc", "k")
    until_us = clock.now_us() + LEASE_S * 1_000_000
    db.transact_sync(lambda tx: store.claim(tx, "gc", owner="dead", limit=1, now_us=tx.now_us, lease_until_us=until_us))
    runner = JobRunner(db, [kind(handler)])
    assert await runner.run_due() == 0
    clock.advance(LEASE_S)
    assert await runner.run_due() == 1
    assert runs == [2]


async def test_a_job_that_kills_its_processes_is_given_up(db: Database, clock: FakeClock) -> None:
    async def handler(job: Job) -> None:
        raise AssertionError("it must not run again")

    await db.transact(enqueue, "gc", "k")
    for _ in range(3):
        until_us = clock.now_us() + 1
        db.transact_sync(
            lambda tx, until_us=until_us: store.claim(
                tx, "gc", owner="dead", limit=1, now_us=tx.now_us, lease_until_us=until_us
            )
        )
        clock.advance(1)
    assert await JobRunner(db, [kind(handler, attempts=3)]).run_due() == 0
    assert (find(db).status, find(db).last_error) == ("Failed", "lost by its process 3 times")


async def test_at_a_stop_running_jobs_are_given_back_untouched(db: Database) -> None:
    started = asyncio.Event()

    async def handler(job: Job) -> None:
        started.set()
        await asyncio.Event().wait()

    stop = asyncio.Event()
    await db.transact(enqueue, "gc", "k")
    running = asyncio.create_task(JobRunner(db, [kind(handler)]).run(stop))
    await started.wait()
    assert find(db).status == "Running"
    stop.set()
    await running
    assert (find(db).status, find(db).attempt) == ("Queued", 0)


async def test_a_handler_that_takes_too_long_is_ended_and_retried(db: Database) -> None:
    ended = False

    async def handler(job: Job) -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    await db.transact(enqueue, "gc", "k")
    await JobRunner(db, [kind(handler, timeout_s=0.01)]).run_due()
    assert ended
    assert (find(db).status, find(db).last_error) == ("Queued", "it took longer than 0 s")


async def test_losing_the_lease_ends_the_handler(db: Database, clock: FakeClock) -> None:
    ended = asyncio.Event()

    async def handler(job: Job) -> None:
        clock.advance(LEASE_S)
        other = JobRunner(db, [kind(take_over)], owner="other")
        await other.run_due()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def take_over(job: Job) -> None:
        pass

    await db.transact(enqueue, "gc", "k")
    runner = JobRunner(db, [kind(handler)], owner="slow", lease_s=0.3)
    await runner.run_due()
    assert ended.is_set()
    assert (find(db).status, find(db).fence) == ("Succeeded", 2)


async def test_enqueueing_wakes_the_runner_at_once(db: Database) -> None:
    done = asyncio.Event()

    async def handler(job: Job) -> None:
        done.set()

    stop = asyncio.Event()
    running = asyncio.create_task(JobRunner(db, [kind(handler)]).run(stop))
    await db.transact(enqueue, "gc", "k")
    await asyncio.wait_for(done.wait(), 5)
    stop.set()
    await running


async def test_no_wake_up_is_lost_between_looking_and_waiting() -> None:
    wake = Wake()
    seen = wake.generation
    wake.notify()
    assert await wake.wait(seen, 60)
    assert not await wake.wait(wake.generation, 0.001)
    waiting = asyncio.create_task(wake.wait(wake.generation, 60))
    await asyncio.sleep(0)
    await asyncio.to_thread(wake.notify)
    assert await waiting
