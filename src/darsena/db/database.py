"""Transactions. A use case is one synchronous function over one synchronous connection, run whole in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, ClassVar, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.schema import Table

from darsena.core.clock import Clock, SystemClock
from darsena.core.errors import StorageFull, Unavailable
from darsena.db import dialects

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 5
_COUNTED = {"preserve_rowcount": True}
"""Without it SQLAlchemy forgets, on PostgreSQL, how many rows an INSERT … ON CONFLICT DO NOTHING wrote."""


class Event(Protocol):
    """A journaled fact: see darsena.journal.events."""

    kind: ClassVar[str]


class UnjournaledWrite(AssertionError):
    """A journaled table was written in a transaction that emits no event."""


class Tx:
    """One open transaction. Stores take it as their first argument and never commit."""

    def __init__(self, connection: Connection, clock: Clock, *, actor: str, request_id: str) -> None:
        self.connection = connection
        self.clock = clock
        self.actor = actor
        self.request_id = request_id
        self.events: list[tuple[str, Event]] = []
        """(stream, event) in the order of emission; the journal writes them as the last statements before commit."""
        self.journaled_writes: set[str] = set()
        self._now_us: int | None = None
        self._after_commit: list[Callable[[], None]] = []

    def execute(
        self, statement: Executable, parameters: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        result = self.connection.execute(statement, parameters, execution_options=_COUNTED)
        if isinstance(statement, UpdateBase) and result.rowcount != 0:
            table = statement.table
            if isinstance(table, Table) and table.info.get("journaled"):
                self.journaled_writes.add(table.name)
        return result  # type: ignore[return-value]

    def emit(self, stream: str, event: Event) -> None:
        """The only way into the journal. `stream` is `registry:<uid>@<region>` or `subscription:<guid>`."""
        self.events.append((stream, event))

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this once the transaction is durable (wake a reader, forget a cache entry). Never for the truth."""
        self._after_commit.append(call)

    @property
    def now_us(self) -> int:
        """The transaction's one time."""
        if self._now_us is None:
            self._now_us = self.clock.now_us()
        return self._now_us

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.connection.dialect.name


class Database:
    """SQLite: one writer thread and a few read-only connections. PostgreSQL: a small pool.

    `before_commit` is called with the Tx as the last thing before each commit: the journal's `append` stands there.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        before_commit: Callable[[Tx], None] | None = None,
        check_journal: bool = False,
        readers: int = 4,
        writers: int = 4,
    ) -> None:
        self.url = url
        self.clock: Clock = clock or SystemClock()
        self._before_commit = before_commit
        self._check_journal = check_journal
        self.engine: Engine = dialects.make_engine(url, pool_size=readers + writers)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = ThreadPoolExecutor(1 if self.is_sqlite else writers, thread_name_prefix="db-write")
        self._reader = ThreadPoolExecutor(readers, thread_name_prefix="db-read")

    # --- asynchronous callers ---------------------------------------------------------------------------------

    async def transact(
        self,
        fn: Callable[Concatenate[Tx, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `fn(tx, *args)` whole in one transaction. Retried from the start on a serialization failure.

        The transaction goes on to its end even when the caller is cancelled. Raises what `fn` raises (nothing is
        written then), StorageFull when the disk is full, Unavailable when the database cannot be reached.
        """
        actor, request_id = _caller.get()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._writer, lambda: self.transact_sync(fn, *args, _actor=actor, _request_id=request_id, **kwargs)
        )

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(tx, *args)` on a read-only snapshot."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, lambda: self.read_sync(fn, *args, **kwargs))

    # --- synchronous callers (start-up, threads, tests) --------------------------------------------------------

    def transact_sync(
        self, fn: Callable[..., T], *args: Any, _actor: str = "system", _request_id: str = "", **kwargs: Any
    ) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._begin(_actor, _request_id) as tx:
                    result = fn(tx, *args, **kwargs)
                    self._finish(tx)
                for call in tx._after_commit:  # pyright: ignore[reportPrivateUsage]
                    call()
                return result
            except DBAPIError as error:
                if dialects.is_disk_full(error):
                    raise StorageFull("the database's disk is full; nothing was changed") from error
                if not dialects.is_retryable(error) or attempt == _ATTEMPTS:
                    if isinstance(error, OperationalError):
                        raise Unavailable("the database does not answer; nothing was changed") from error
                    raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    def read_sync(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with self.engine.connect() as connection, dialects.read_only(connection):
                return fn(Tx(connection, self.clock, actor="system", request_id=""), *args, **kwargs)
        except OperationalError as error:
            raise Unavailable("the database does not answer") from error

    def close(self) -> None:
        self._writer.shutdown(wait=True)
        self._reader.shutdown(wait=True)
        self.engine.dispose()

    # --- inside -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _begin(self, actor: str, request_id: str) -> Generator[Tx]:
        with self.engine.connect() as connection, dialects.write(connection):
            yield Tx(connection, self.clock, actor=actor, request_id=request_id)

    def _finish(self, tx: Tx) -> None:
        if self._check_journal and tx.journaled_writes and not tx.events:
            raise UnjournaledWrite(f"wrote {sorted(tx.journaled_writes)} and emitted no event")
        if tx.events and self._before_commit is not None:
            self._before_commit(tx)


_caller: ContextVar[tuple[str, str]] = ContextVar("caller", default=("system", ""))


def set_caller(actor: str, request_id: str) -> None:
    """Name the actor (`<principal kind>:<id>`) and the request of this context, for the journal."""
    _caller.set((actor, request_id))
