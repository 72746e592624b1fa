"""The threads in which files are read and written and bytes are hashed, so that the event loop never waits for them.

The number of threads is the limiter: as many hash at once as there are processors.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from darsena.storage.disk import problem_of

P = ParamSpec("P")
T = TypeVar("T")

_DISK_THREADS = 16
"""More than processors: a slow fsync must not keep reads waiting."""


class Workers:
    def __init__(self, disk_threads: int = _DISK_THREADS) -> None:
        self._disk = ThreadPoolExecutor(disk_threads, thread_name_prefix="store-disk")
        self._cpu = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="store-cpu")

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
        return asyncio.get_running_loop().run_in_executor(self._disk, lambda: _guarded(fn, *args, **kwargs))

    def start_cpu(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._cpu, lambda: _guarded(fn, *args, **kwargs))

    async def close(self) -> None:
        await asyncio.to_thread(self._disk.shutdown, wait=True)
        await asyncio.to_thread(self._cpu.shutdown, wait=True)


async def settle(futures: Sequence[asyncio.Future[Any]]) -> None:
    """Wait until all have ended, then raise CancelledError if we were cancelled, else the first failure."""
    cancelled = False
    while waiting := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            cancelled = True
    failed = [future for future in futures if future.exception() is not None]
    if cancelled:
        raise asyncio.CancelledError
    if failed:
        failed[0].result()


def _guarded(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return fn(*args, **kwargs)
    except OSError as error:
        raise problem_of(error) from error
