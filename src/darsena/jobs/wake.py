"""Waking whoever waits for work. A wake-up is a hint: everybody who waits looks again after a second anyway."""

from __future__ import annotations

import asyncio
import threading
from typing import Any


class Wake:
    """`notify` may be called from any thread. Read `generation` before looking for work: what is notified after that
    ends the wait that follows at once, so no wake-up is lost in between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.generation = 0

    def notify(self) -> None:
        with self._lock:
            self.generation += 1
            waiters, self._waiters = self._waiters, set()
        for loop, event in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait(self, seen: int, timeout_s: float) -> bool:
        """True when something was notified since `generation` was `seen`; False after `timeout_s`."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self.generation != seen:
                return True
            self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter[1].wait(), timeout_s)
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiters.discard(waiter)
        return True


async def pause(stop: asyncio.Event, timeout_s: float, wake: Wake | None = None, seen: int = 0) -> None:
    """Return after `timeout_s`, or as soon as `stop` is set or `wake` notified."""
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
    if wake is not None:
        waits.append(asyncio.create_task(wake.wait(seen, timeout_s)))
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
