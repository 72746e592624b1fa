"""Transactions. A use case is one synchronous function over one synchronous connection, run whole in a thread."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.schema import Table

from darsena.core.clock import Clock, SystemClock
from darsena.core.errors import RequestInvalid, StorageFull, Unavailable
from darsena.core.failpoints import failpoint
from darsena.core.threads import Threads
from darsena.db import dialects
from darsena.db.batches import Batches, Busy, Work
from darsena.db.files import DatabaseFiles
from darsena.db.kept import Kept
from darsena.db.prepared import COUNTED, Prepared, Rows, Values

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 5

Caller = tuple[str, str, str | None]
"""(actor, request id, address)"""
SYSTEM: Caller = ("system", "", None)


Begin = Callable[[], contextlib.AbstractContextManager[Connection]]
"""Opens a transaction that is committed at the end of the block."""


class Event(Protocol):
    """A journaled fact: see darsena.journal.events."""

    kind: ClassVar[str]


class UnjournaledWrite(AssertionError):
    """A journaled table was written in a transaction that emits no event."""


class Tx:
    """One open transaction. Stores take it as their first argument and never commit."""

    def __init__(
        self, connection: Connection, clock: Clock, *, actor: str, request_id: str, address: str | None = None
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.actor = actor
        self.request_id = request_id
        self.address = address
        """Of the client, where one asked."""
        self.events: list[tuple[str, Event]] = []
        """(stream, event) in the order of emission; the journal writes them as the last statements before commit."""
        self.journaled_writes: set[str] = set()
        self.driver: sqlite3.Connection | None = dialects.driver_of(connection)
        """SQLite's own connection, for `Prepared`."""
        self._now_us: int | None = None
        self._after_commit: list[Callable[[], None]] = []

    def execute(
        self, statement: Executable, parameters: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        result = self.connection.execute(statement, parameters, execution_options=COUNTED)
        if isinstance(statement, UpdateBase) and result.rowcount != 0:
            table = statement.table
            if isinstance(table, Table) and table.info.get("journaled"):
                self.journaled_writes.add(table.name)
        return result  # type: ignore[return-value]

    def run(self, statement: Prepared, values: Values) -> Rows:
        """`execute`, for what runs often."""
        rows = statement.run(self.connection, self.driver, values)
        if statement.written is not None and rows.count != 0:
            self.journaled_writes.add(statement.written)
        return rows

    def emit(self, stream: str, event: Event) -> None:
        """The only way into the journal. `stream` is `registry:<uid>@<region>` or `subscription:<guid>`."""
        self.events.append((stream, event))

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this once the transaction is durable (wake a reader, forget a cache entry). Never for the truth."""
        self._after_commit.append(call)

    def run_after_commit(self) -> None:
        for call in self._after_commit:
            call()

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
    """SQLite: one writer thread (batches.py) and a few read-only connections. PostgreSQL: a small pool.

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
        self.reading = (
            dialects.make_engine(url, pool_size=2 * readers, query_only=True) if self.is_sqlite else self.engine
        )
        file = self.engine.url.database if self.is_sqlite else None
        self._files = DatabaseFiles(Path(file) if file else None)
        self.on_log_lost: Callable[[], None] | None = None
        """Called in the writer's thread when SQLite's log was removed; what it held is safe in the database."""
        self._batches = Batches(self._run_together) if self.is_sqlite else None
        self._writing = Kept(self.engine, "BEGIN IMMEDIATE")  # the writer thread's
        self._looking_up = Kept(self.reading)
        self._looks_up: int | None = None
        """The thread that looks up: an event loop's."""
        self._writer = Threads(writers, "db-write")
        self._reader = Threads(readers, "db-read")

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
        caller = _caller.get()
        if self._batches is not None:
            return await self._batches.run(self._describe(caller, fn, args, kwargs))
        return await self._writer.start(lambda: self.transact_sync(fn, *args, _caller=caller, **kwargs))

    async def read(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(tx, *args)` on a read-only snapshot."""
        return await self._reader.start(lambda: self.read_sync(fn, *args, **kwargs))

    async def look_up(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`read`, for a function of one statement: on SQLite done at once: handing it to a thread takes longer."""
        if not self.is_sqlite:
            return await self.read(fn, *args, **kwargs)
        if self._looks_up is None:
            self._looks_up = threading.get_ident()
        if self._looks_up != threading.get_ident():
            return self.read_sync(fn, *args, **kwargs)
        return self._read(self._looking_up.transaction, fn, *args, **kwargs)

    # --- synchronous callers (start-up, threads, tests) --------------------------------------------------------

    def transact_sync(self, fn: Callable[..., T], *args: Any, _caller: Caller = SYSTEM, **kwargs: Any) -> T:
        return self._transact(self._begin, _caller, fn, args, kwargs)

    def read_sync(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return self._read(self._begin_read, fn, *args, **kwargs)

    def close(self) -> None:
        if self._batches is not None:
            self._batches.close()
        self._writer.close()
        self._reader.close()
        self._writing.close()
        self._looking_up.close()
        self.engine.dispose()
        self.reading.dispose()

    # --- inside -------------------------------------------------------------------------------------------------

    def _transact(self, begin: Begin, caller: Caller, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        deadline_s = time.monotonic() + dialects.BUSY_TIMEOUT_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._in_place(begin) as connection:
                    tx = self._open(connection, caller)
                    result = fn(tx, *args, **kwargs)
                    self._finish(tx)
                failpoint("transaction.after_commit")
                tx.run_after_commit()
                return result
            except DataError as error:
                raise _unstorable() from error
            except DBAPIError as error:
                if dialects.is_disk_full(error):
                    raise StorageFull("the database's disk is full; nothing was changed") from error
                is_last = attempt == _ATTEMPTS or time.monotonic() > deadline_s
                if self.is_sqlite and is_last and dialects.is_retryable(error):
                    raise Busy("another program holds the database; nothing was changed") from error
                if not dialects.is_retryable(error) or is_last:
                    if dialects.is_out_of_order(error):
                        raise Unavailable("the database does not answer; nothing was changed") from error
                    raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    def _read(self, begin: Begin, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            with begin() as connection:
                return fn(self._open(connection, SYSTEM), *args, **kwargs)
        except DataError as error:
            raise _unstorable() from error
        except DBAPIError as error:
            if dialects.is_out_of_order(error):
                raise Unavailable("the database does not answer") from error
            raise

    def _describe(self, caller: Caller, fn: Callable[..., T], args: Any, kwargs: Any) -> Work:
        def inside(connection: Connection) -> tuple[T, Callable[[], None]]:
            tx = self._open(connection, caller)
            result = fn(tx, *args, **kwargs)
            self._finish(tx)
            return result, tx.run_after_commit

        return Work(lambda: self._transact(self._writing.transaction, caller, fn, args, kwargs), inside)

    def _run_together(self, run: Callable[[Connection], None]) -> None:
        with self._in_place(self._writing.transaction) as connection:
            run(connection)
        failpoint("transaction.after_commit")

    @contextlib.contextmanager
    def _in_place(self, begin: Begin) -> Generator[Connection]:
        """A writing transaction that is in the database's files when the block has ended: see files.py."""
        self._files.check()
        with begin() as connection:
            yield connection
        if not self._files.is_in_place():
            if not self._writing.save_log():
                raise Unavailable("the database's log was removed while it was written; ask what became of it")
            if self.on_log_lost is not None:
                self.on_log_lost()

    @contextlib.contextmanager
    def _begin(self) -> Generator[Connection]:
        with self.engine.connect() as connection, dialects.write(connection):
            yield connection

    @contextlib.contextmanager
    def _begin_read(self) -> Generator[Connection]:
        with self.reading.connect() as connection, dialects.read_only(connection):
            yield connection

    def _open(self, connection: Connection, caller: Caller) -> Tx:
        actor, request_id, address = caller
        return Tx(connection, self.clock, actor=actor, request_id=request_id, address=address)

    def _finish(self, tx: Tx) -> None:
        if self._check_journal and tx.journaled_writes and not tx.events:
            raise UnjournaledWrite(f"wrote {sorted(tx.journaled_writes)} and emitted no event")
        if tx.events and self._before_commit is not None:
            self._before_commit(tx)
        failpoint("transaction.before_commit")


def _unstorable() -> RequestInvalid:
    """PostgreSQL keeps no NUL in a text. What came in a request is the request's fault, never a defect."""
    return RequestInvalid("A value in the request holds a character that cannot be stored, such as NUL.")


_caller: ContextVar[Caller] = ContextVar("caller", default=SYSTEM)


def set_caller(actor: str, request_id: str, address: str | None = None) -> None:
    """Name the actor (`<principal kind>:<id>`), the request of this context and the client's address, for the
    journal."""
    _caller.set((actor, request_id, address))
