"""Fixtures that every room's tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from darsena.db import Database
from darsena.db.migrate import migrate
from darsena.journal import append
from darsena.testing import FakeClock
from darsena.testing.postgres import Postgres, running_postgres

# Who runs in the background of a shell has Ctrl-C switched off, and the commands that the tests start would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        template = Database(server.create_template())
        migrate(template.engine)
        template.close()
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "darsena.db"
    db = Database(f"sqlite:///{path}")
    migrate(db.engine)
    with db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    """A migrated, empty database with the journal attached, on each of the two databases."""
    postgres: Postgres | None = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    if postgres is None:
        path = tmp_path / "darsena.db"
        path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        url = f"sqlite:///{path}"
    else:
        url = postgres.create(clone=True)
    database = Database(url, clock=clock, before_commit=append, check_journal=True)
    yield database
    database.close()
    if postgres is not None:
        postgres.drop(url)
