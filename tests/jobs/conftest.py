"""TEMPORARY"""

from __future__ import annotations
from collections.abc import Iterator
from pathlib import Path
import pytest
from darsena.db import Database, metadata
from darsena.journal import append
import darsena.jobs.tables, darsena.journal.tables
from darsena.testing import FakeClock
from darsena.testing.postgres import Postgres, running_postgres

for m in ("tasks", "usage", "storage", "resources", "identity", "registry"):
    try:
        __import__(f"darsena.{m}.tables")
    except ImportError:
        pass


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    with running_postgres(tmp_path_factory.mktemp("postgres") / "server") as server:
        t = Database(server.create_template())
        metadata.create_all(t.engine)
        t.close()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request, tmp_path, clock) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/d.db"
        d = Database(url)
        metadata.create_all(d.engine)
        d.close()
    else:
        url = request.getfixturevalue("postgres").create(clone=True)
    database = Database(url, clock=clock, before_commit=append, check_journal=True)
    yield database
    database.close()
