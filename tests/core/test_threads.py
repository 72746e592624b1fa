"""Threads for an event loop: every piece of work runs to its end, whoever waits for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from darsena.core.threads import Threads


async def test_values_and_errors_come_back() -> None:
    threads = Threads(2, "test")

    def fail() -> None:
        raise KeyError("no")

    assert await threads.start(lambda: 42) == 42
    with pytest.raises(KeyError):
        await threads.start(fail)
    threads.close()


async def test_so_many_at_once_and_no_more() -> None:
    threads = Threads(2, "test")
    together, free = threading.Barrier(2), threading.Event()
    first = [threads.start(together.wait) for _ in range(2)]
    await asyncio.gather(*first)  # two threads met
    held = [threads.start(free.wait) for _ in range(2)]
    third = threads.start(lambda: free.is_set())
    free.set()
    await asyncio.gather(*held)
    assert await third  # it waited for one of them
    threads.close()


async def test_work_goes_on_when_nobody_waits_any_more() -> None:
    threads = Threads(1, "test")
    free, done = threading.Event(), threading.Event()
    waiting = threads.start(lambda: free.wait() and done.set())
    waiting.cancel()
    free.set()
    threads.close()
    assert done.is_set()


async def test_closing_waits_and_is_final() -> None:
    threads = Threads(1, "test")
    done: list[int] = []
    futures = [threads.start(lambda number=number: done.append(number)) for number in range(10)]
    threads.close()
    assert done == list(range(10))
    await asyncio.gather(*futures)
    threads.close()
    with pytest.raises(RuntimeError):
        threads.start(lambda: None)
