"""Threads that an event loop hands work to. What asyncio's executors do, in a quarter of the time for each piece."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_Tasks: TypeAlias = "queue.SimpleQueue[_Task | None]"


class Threads:
    """At most `size` of them, begun when they are needed. Used by one event loop at a time."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._tasks: _Tasks = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0
        self._closed = False
        weakref.finalize(self, _dismiss, self._tasks, self._threads)

    def start(self, fn: Callable[[], T]) -> asyncio.Future[T]:
        """Run it in a thread, to its end, whatever becomes of the future."""
        if self._closed:
            raise RuntimeError(f"the threads {self._name} are closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._open += 1
        if self._open > len(self._threads) < self._size:
            thread = threading.Thread(
                target=_work, args=(self._tasks,), name=f"{self._name}-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._tasks.put(_Task(fn, future, self._end))
        return future

    def close(self) -> None:
        """Wait for what was asked for. Idempotent."""
        if not self._closed:
            self._closed = True
            _dismiss(self._tasks, self._threads)
        for thread in self._threads:
            thread.join()

    def _end(self) -> None:
        self._open -= 1


class _Task:
    __slots__ = ("_end", "_error", "_fn", "_future", "_value")

    def __init__(self, fn: Callable[[], Any], future: asyncio.Future[Any], end: Callable[[], None]) -> None:
        self._fn = fn
        self._future = future
        self._end = end
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """In a thread."""
        try:
            self._value = self._fn()
        except BaseException as error:
            self._error = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._future.get_loop().call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        """In the event loop."""
        self._end()
        if self._future.done():  # whoever waited was cancelled
            self._error = None
        elif self._error is None:
            self._future.set_result(self._value)
        else:
            self._future.set_exception(self._error)
        del self._fn, self._error, self._future  # an error's traceback knows this task: a cycle, with all that is in it


def _work(tasks: _Tasks) -> None:
    while (task := tasks.get()) is not None:
        task.run()
        del task  # what it holds goes now, not with the next one


def _dismiss(tasks: _Tasks, threads: list[threading.Thread]) -> None:
    for _ in threads:
        tasks.put(None)
