"""Statements that are built once and run often: a request's look-ups, and what a push writes.

On SQLite the driver is given their text as it is: what SQLAlchemy does for each execution takes several times what the
statement does. On PostgreSQL, whose server is asked over a socket, SQLAlchemy executes them as it does all others.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Connection, Integer, LargeBinary, String
from sqlalchemy.sql.schema import Table

from darsena.db import dialects

Values = Mapping[str, Any]

COUNTED = {"preserve_rowcount": True}
"""Without it SQLAlchemy forgets, on PostgreSQL, how many rows an INSERT … ON CONFLICT DO NOTHING wrote."""
_PLAIN = (String, Integer, LargeBinary)
"""What SQLite's driver takes and gives as we do."""


_named: Callable[[str, list[str]], Any] = namedtuple  # of names that no type checker can know


class Rows:
    """What a statement gave: rows with their columns as attributes."""

    __slots__ = ("_rows", "count")

    def __init__(self, rows: Sequence[Any], count: int) -> None:
        self._rows = rows
        self.count = count
        """How many rows were changed; says nothing where it only reads."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def first(self) -> Any:
        """The first row, or None."""
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any:
        """The first column of the first row, or None."""
        return self._rows[0][0] if self._rows else None


class Prepared:
    """Of a statement, or of one that differs by dialect; every time with values of the same names."""

    __slots__ = ("_direct", "_statement", "written")

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._direct: _Direct | None = None
        table = getattr(self._of("sqlite"), "table", None)
        self.written = table.name if isinstance(table, Table) and table.info.get("journaled") else None
        """The journaled table that it writes to."""

    def run(self, connection: Connection, driver: sqlite3.Connection | None, values: Values) -> Rows:
        """`driver` is SQLite's own connection under `connection`. Raises DBAPIError."""
        if driver is None:
            result = connection.execute(self._of(connection.dialect.name), values, execution_options=COUNTED)
            return Rows(result.all() if result.returns_rows else (), result.rowcount)
        if self._direct is None:
            self._direct = _Direct(connection, self._of("sqlite"), values)
        return self._direct.run(driver, values)

    def _of(self, dialect: str) -> Any:
        return self._statement[dialect] if isinstance(self._statement, dialects.ByDialect) else self._statement


class _Direct:
    """A statement as SQLite's driver takes it, and how its rows are read."""

    __slots__ = ("_booleans", "_names", "_own", "_row", "_text")

    def __init__(self, connection: Connection, statement: Any, values: Values) -> None:
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(values))
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup)
        self._own = {name: compiled.params[name] for name in self._names if name not in values}
        """Values that stand in the statement."""
        columns: list[tuple[str, Any]] = [(column.name, column.type) for column in statement.exported_columns]
        unknown = [name for name, type_ in columns if not isinstance(type_, (*_PLAIN, Boolean))]
        if unknown:
            raise TypeError(f"a prepared statement does not know the types of {unknown}")
        self._booleans = [place for place, (_, type_) in enumerate(columns) if isinstance(type_, Boolean)]
        self._row: Callable[[Sequence[Any]], Any] = _named("Row", [name for name, _ in columns])._make

    def run(self, driver: sqlite3.Connection, values: Values) -> Rows:
        given = {**self._own, **values} if self._own else values
        with_places = [given[name] for name in self._names]
        try:
            cursor = driver.execute(self._text, with_places)
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise dialects.translate(error, self._text) from error
        return Rows([self._read(row) for row in rows], cursor.rowcount)

    def _read(self, row: tuple[Any, ...]) -> Any:
        if not self._booleans:
            return self._row(row)
        read = list(row)
        for place in self._booleans:
            read[place] = None if read[place] is None else bool(read[place])
        return self._row(read)
