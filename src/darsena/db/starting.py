"""What goes wrong with the database while a server starts, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from darsena.core.errors import StartFailure, StorageFull, Unavailable


@contextmanager
def explained(file: Path) -> Generator[None]:
    """Raises StartFailure for every failure of the database; `file` is SQLite's."""
    try:
        yield
    except (Unavailable, StorageFull) as problem:
        raise StartFailure(problem.message) from problem
    except DBAPIError as error:
        raise StartFailure(_explain(file, error)) from error


def _explain(file: Path, error: DBAPIError) -> str:
    reason = str(error.orig).strip()
    if isinstance(error.orig, sqlite3.Error):
        return f"the database {file} cannot be used ({reason}): mend that, or put it back from your backup"
    return f"PostgreSQL cannot be used ({reason}): start it, or correct DARSENA_DATABASE__URL"
