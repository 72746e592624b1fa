"""A connection to SQLite that one thread keeps: to take one from the pool and give it back costs several statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from darsena.db import dialects


class Kept:
    """Not for two threads at a time. After an error of the database itself another connection takes its place."""

    def __init__(self, engine: Engine, begin: str | None = None) -> None:
        """`begin` None: a transaction is one statement, which needs no beginning."""
        self._engine = engine
        self._begin = begin
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """One that is committed at the end, or rolled back where the block raises. Raises DBAPIError."""
        connection = self._connection or self._open()
        driver = dialects.driver_of(connection)
        assert driver is not None
        try:
            if self._begin is not None:
                dialects.tell(driver, self._begin)
            yield connection
            _commit(driver)
        except BaseException as error:
            if isinstance(error, DBAPIError) or not _roll_back(driver):
                self.close()
            raise

    def save_log(self) -> bool:
        """Bring what the log holds into the database itself, durably. False when that is not possible now."""
        if self._connection is None:
            return False
        driver = dialects.driver_of(self._connection)
        assert driver is not None
        try:
            busy, frames, saved = driver.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        except sqlite3.Error:
            return False
        return not busy and frames == saved

    def close(self) -> None:
        """Whatever is open is rolled back."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _open(self) -> Connection:
        connection = self._engine.connect()
        connection.info["kept"] = True
        self._connection = connection
        return connection


# SQLAlchemy, where it executed something, goes on to believe in a transaction; so it begins none of its own.


def _commit(driver: sqlite3.Connection) -> None:
    try:
        driver.commit()
    except sqlite3.Error as error:
        raise dialects.translate(error, "COMMIT") from error


def _roll_back(driver: sqlite3.Connection) -> bool:
    """Whether that went well."""
    try:
        driver.rollback()
    except sqlite3.Error:
        return False
    return True
