"""SQLite's one writer thread: use cases that wait together share one commit, and with it one fsync.

Each runs between a savepoint and its release, so that one that fails takes back its own work only. None is answered
before the commit of all is durable. Whatever goes wrong with the database itself undoes the whole batch; then each runs
in a transaction of its own, and is told its own failure.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from darsena.core.errors import Unavailable
from darsena.db import dialects

_LARGEST: Final = 64


class Busy(Unavailable):
    """Somebody else holds the database: who waits behind would wait as long again."""


class Undone(Exception):
    """The database itself failed: nothing of the batch is there."""


@dataclass(slots=True)
class Outcome:
    """How a use case ended: with a value, or with an error."""

    value: Any = None
    error: BaseException | None = None
    after_commit: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """`alone` runs it in a transaction of its own and raises; `inside` in one that is open, and gives what to do after
    the commit."""

    alone: Callable[[], Any]
    inside: Callable[[Connection], tuple[Any, Callable[[], None]]]


class Batches:
    """`run_together` opens the writing transaction of a batch and commits it when its argument has returned."""

    def __init__(self, run_together: Callable[[Callable[[Connection], None]], None]) -> None:
        self._run_together = run_together
        self._queue: queue.SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="db-write", daemon=True)
        self._lock = threading.Lock()
        self._closed = False
        self._thread.start()

    async def run(self, work: Work) -> Any:
        """Its value, once it is durable. Goes on to its end when the caller is cancelled."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the database is closed")
            self._queue.put((work, future))
        try:
            return await future
        finally:
            del future, work  # an error's traceback knows this frame: a cycle, and all that hangs on it

    def close(self) -> None:
        """Wait for what was asked for."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    # --- in the thread ------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            batch, is_last = self._take()
            if batch:
                outcomes = self._run([work for work, _ in batch])
                _deliver(outcomes, [future for _, future in batch])
                del outcomes
            del batch  # what they hold goes now, not with the next ones
            if is_last:
                return

    def _take(self) -> tuple[list[tuple[Work, asyncio.Future[Any]]], bool]:
        """All that wait, at least one; and whether nothing comes any more."""
        batch: list[tuple[Work, asyncio.Future[Any]]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == _LARGEST:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _run(self, batch: list[Work]) -> list[Outcome]:
        if len(batch) == 1:
            return [_alone(batch[0])]
        outcomes: list[Outcome] = []
        try:
            self._run_together(lambda connection: _each(connection, batch, outcomes))
        except (DBAPIError, Undone):
            return _each_alone(batch)
        except BaseException as error:
            return [Outcome(error=error) for _ in batch]
        for outcome in outcomes:
            _follow(outcome)
        return outcomes


def _each(connection: Connection, batch: list[Work], outcomes: list[Outcome]) -> None:
    driver = dialects.driver_of(connection)
    assert driver is not None
    for work in batch:
        dialects.tell(driver, "SAVEPOINT work")
        try:
            value, call = work.inside(connection)
        except DBAPIError as error:
            raise Undone from error
        except BaseException as error:
            outcomes.append(Outcome(error=error))
            dialects.tell(driver, "ROLLBACK TO work")
        else:
            outcomes.append(Outcome(value, after_commit=call))
        dialects.tell(driver, "RELEASE work")


def _follow(outcome: Outcome) -> None:
    if outcome.after_commit is not None:
        try:
            outcome.after_commit()
        except BaseException as error:
            outcome.error = error


def _each_alone(batch: list[Work]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for work in batch:
        before = outcomes[-1].error if outcomes else None
        outcomes.append(Outcome(error=before) if isinstance(before, Busy) else _alone(work))
    return outcomes


def _alone(work: Work) -> Outcome:
    try:
        return Outcome(work.alone())
    except BaseException as error:
        return Outcome(error=error)


def _deliver(outcomes: list[Outcome], futures: list[asyncio.Future[Any]]) -> None:
    """One wake-up for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for future, outcome in zip(futures, outcomes, strict=True):
        loops.setdefault(future.get_loop(), []).append((future, outcome))
    for loop, ended in loops.items():
        with suppress(RuntimeError):  # closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, ended)


def _settle(ended: list[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for future, outcome in ended:
        error, outcome.error = outcome.error, None  # as above: its traceback knows the outcomes
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(error)
