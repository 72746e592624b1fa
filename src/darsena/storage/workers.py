"""The threads in which files are read and written and bytes are hashed, so that the event loop never waits for them.

The number of threads is the limiter: as many hash at once as there are processors.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from darsena.core.threads import Threads
from darsena.storage.disk import problem_of
from darsena.storage.shared_frames import SharedFrames
from darsena.storage.slow_readers import Readers

P = ParamSpec("P")
T = TypeVar("T")

_DISK_THREADS = 16
"""More than processors: a slow fsync must not keep reads waiting."""


class Workers:
    def __init__(self, disk_threads: int = _DISK_THREADS) -> None:
        self._disk = Threads(disk_threads, "store-disk")
        self._cpu = Threads(os.cpu_count() or 1, "store-cpu")
        self.readers = Readers()
        self.shared_frames = SharedFrames()

    async def disk(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` in a thread for files. OSError comes out as StorageFull or Unavailable.

        Never returns before `fn` has ended, not even when cancelled: what `fn` uses may be closed after this.
        """
        future = self.start_disk(fn, *args, **kwargs)
        await settle([future])
        return future.result()

    async def cpu(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`disk`, for work that mostly computes."""
        future = self.start_cpu(fn, *args, **kwargs)
        await settle([future])
        return future.result()

    def start_disk(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._disk.start(lambda: _guarded(fn, *args, **kwargs))

    def start_cpu(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._cpu.start(lambda: _guarded(fn, *args, **kwargs))

    async def close(self) -> None:
        self.readers.close()
        await asyncio.to_thread(self._disk.close)
        await asyncio.to_thread(self._cpu.close)


async def settle(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Wait until all have ended, then raise CancelledError if we were cancelled, else the first failure."""
    cancelled = False
    for future in futures:
        while not future.done():
            try:
                await _wait(future)
            except asyncio.CancelledError:
                cancelled = True
    failed = [future for future in futures if future.exception() is not None]
    if cancelled:
        raise asyncio.CancelledError
    if failed:
        failed[0].result()


def _wait(future: asyncio.Future[Any]) -> asyncio.Future[None]:
    """Done when `future` is; cancelling it leaves `future` alone."""
    waiter: asyncio.Future[None] = future.get_loop().create_future()
    future.add_done_callback(lambda _: None if waiter.done() else waiter.set_result(None))
    return waiter


def _guarded(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return fn(*args, **kwargs)
    except OSError as error:
        raise problem_of(error) from error
