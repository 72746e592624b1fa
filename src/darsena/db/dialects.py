"""Everything that differs between SQLite and PostgreSQL, in one place."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Insert,
    Subquery,
    Table,
    cast,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeEngine

BUSY_TIMEOUT_S: Final = 10.0
"""So long SQLite waits for another program that writes."""
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # R1: an answered write survives a power cut
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={round(BUSY_TIMEOUT_S * 1000)}",
    "PRAGMA mmap_size=268435456",
    "PRAGMA secure_delete=ON",
)


_POSTGRESQL_NETWORK = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""A network that swallows everything is noticed in half a minute: the system's own patience is two hours."""


def make_engine(url: str, *, pool_size: int, query_only: bool = False) -> Engine:
    """`sqlite:////path/darsena.db` or `postgresql+psycopg://…`. Transactions are begun by `write` and `read_only`.

    `query_only`: SQLite's connections cannot write.
    """
    if url.startswith("sqlite"):
        engine = create_engine(
            url, poolclass=QueuePool, pool_size=pool_size, max_overflow=2, creator=_open_sqlite(make_url(url).database)
        )

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
            connection.isolation_level = None  # we write BEGIN ourselves
            for pragma in SQLITE_PRAGMAS:
                connection.execute(pragma)
            if query_only:
                connection.execute("PRAGMA query_only=ON")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
            if not connection.info.get("kept"):  # kept.py begins by itself
                connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get("writing") else "BEGIN")

        return engine
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args=_POSTGRESQL_NETWORK,
    )


def _open_sqlite(path: str | None) -> Callable[[], sqlite3.Connection]:
    """The file is made now or never: an empty one in the place of one that was moved would hide that."""
    name = path or ""
    if name and not os.path.lexists(name):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
    target = f"file:{quote(name)}?mode=rw" if name else ":memory:"
    return lambda: sqlite3.connect(target, uri=bool(name), check_same_thread=False)


@contextlib.contextmanager
def write(connection: Connection) -> Generator[None]:
    connection.info["writing"] = True
    try:
        with connection.begin():
            yield
    finally:
        connection.info.pop("writing", None)


@contextlib.contextmanager
def read_only(connection: Connection) -> Generator[None]:
    """One snapshot, no writes. On SQLite the connection is one that cannot."""
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield


def driver_of(connection: Connection) -> sqlite3.Connection | None:
    """SQLite's own connection; None on PostgreSQL."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, sqlite3.Connection) else None


def tell(driver: sqlite3.Connection, statement: str) -> None:
    """Execute a statement without values or rows. Raises DBAPIError."""
    try:
        driver.execute(statement)
    except sqlite3.Error as error:
        raise translate(error, statement) from error


def translate(error: sqlite3.Error, statement: str) -> Exception:
    """What SQLAlchemy makes of an error of SQLite's driver."""
    return DBAPIError.instance(statement, None, error, sqlite3.Error)


def is_retryable(error: DBAPIError) -> bool:
    """Serialization failure or deadlock on PostgreSQL, a busy SQLite."""
    code = getattr(error.orig, "sqlstate", None)
    if code in ("40001", "40P01"):
        return True
    return isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig)


def is_out_of_order(error: DBAPIError) -> bool:
    """The database cannot be reached or used: its fault, not the statement's."""
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        return True
    return type(error.orig) is sqlite3.DatabaseError  # the file is damaged, or no database


def is_disk_full(error: DBAPIError) -> bool:
    if getattr(error.orig, "sqlstate", None) == "53100":
        return True
    return isinstance(error.orig, sqlite3.OperationalError) and "full" in str(error.orig)


def insert_for(dialect: str, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # with all its drivers: a server on SQLite starts without

        return insert(table)
    return sqlite_insert(table)


def insert_ignore(dialect: str, table: Table, values: dict[str, Any] | Sequence[dict[str, Any]]) -> Any:
    """INSERT … ON CONFLICT DO NOTHING."""
    return insert_for(dialect, table).values(values).on_conflict_do_nothing()


class ByDialect(dict[str, Any]):
    """A statement that differs by dialect, by the dialect's name: built when it is first asked for, then kept."""

    def __init__(self, build: Callable[[str], Any]) -> None:
        super().__init__()
        self._build = build

    def __missing__(self, dialect: str) -> Any:
        built = self[dialect] = self._build(dialect)
        return built


def prepare_insert_ignore(table: Table) -> ByDialect:
    """`insert_ignore`; the values are given when it is executed."""
    return ByDialect(lambda dialect: insert_for(dialect, table).on_conflict_do_nothing())


def insert_rows(
    connection: Connection, statement: Insert, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Many rows, without what SQLAlchemy does for each: the values are as the driver takes them.

    The columns are named in the table's order.
    """
    dialect = connection.dialect
    sql = _insert_text(dialect, statement, columns)
    driver = driver_of(connection)
    if driver is None:
        connection.exec_driver_sql(sql, [dict(zip(columns, row, strict=True)) for row in rows])
        return
    try:
        driver.executemany(sql, rows)
    except sqlite3.Error as error:
        raise translate(error, sql) from error


@functools.cache
def _insert_text(dialect: Dialect, statement: Insert, columns: tuple[str, ...]) -> str:
    """Statements are few and live as long as the process."""
    assert columns == tuple(column.name for column in statement.table.c if column.name in columns)
    return str(statement.compile(dialect=dialect, column_keys=list(columns)))


def rows_of_json(
    dialect: str, name: str, document: ColumnElement[str], columns: Mapping[str, TypeEngine[Any]]
) -> Subquery:
    """The rows of a JSON array of arrays as a table. A statement over many values runs through at once: where each has
    one of its own, every single one waits for its turn in Python."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import JSONB  # as above

        row = func.jsonb_array_elements(cast(document, JSONB)).table_valued("value").c.value
        values = [cast(row.op("->>")(place), type_) for place, type_ in enumerate(columns.values())]
    else:
        row = func.json_each(document).table_valued("value").c.value
        values = [func.json_extract(row, f"$[{place}]", type_=type_) for place, type_ in enumerate(columns.values())]
    return select(*(value.label(column) for value, column in zip(values, columns, strict=True))).subquery(name)


def prepare_locking(statement: Any) -> ByDialect:
    """`lock_for_update` of this statement."""
    return ByDialect(lambda dialect: lock_for_update(dialect, statement))


def upsert(dialect: str, table: Table, values: dict[str, Any], *, key: Sequence[str], update: Sequence[str]) -> Any:
    """INSERT … ON CONFLICT (key) DO UPDATE SET the `update` columns to the inserted values."""
    insert = insert_for(dialect, table).values(values)
    return insert.on_conflict_do_update(index_elements=list(key), set_={name: insert.excluded[name] for name in update})


def lock_for_update(dialect: str, statement: Any) -> Any:
    """SELECT … FOR UPDATE on PostgreSQL; on SQLite the transaction already holds the only write lock."""
    return statement.with_for_update() if dialect == "postgresql" else statement


def lock_against_deletion(dialect: str, statement: Any) -> Any:
    """SELECT … FOR KEY SHARE on PostgreSQL: whoever means to delete, having locked for update, waits."""
    return statement.with_for_update(read=True, key_share=True) if dialect == "postgresql" else statement


def lock_by_name(connection: Connection, name: str) -> None:
    """Hold this name's lock until the transaction ends. SQLite's writing transaction excludes all others as it is."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def skip_locked(dialect: str, statement: Any) -> Any:
    """SELECT … FOR UPDATE SKIP LOCKED on PostgreSQL: rows that another transaction holds are passed over."""
    return statement.with_for_update(skip_locked=True) if dialect == "postgresql" else statement


def server_time_us(connection: Connection) -> int | None:
    """The database server's own time; None on SQLite, which has no time but the host's."""
    if connection.dialect.name != "postgresql":
        return None
    return connection.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")).scalar_one()
