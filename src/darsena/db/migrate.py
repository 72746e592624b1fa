"""Bring a database to the newest schema. Alembic is imported only when there is something to do: it costs 0.2 s."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from darsena.core.errors import StartFailure
from darsena.db import dialects
from darsena.db.tables import metadata

HEAD = "0013_pulls_of_manifests"
"""The newest revision in migrations/versions; a test holds it to the folder."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_ID = 0x6461727365


def current_revision(engine: Engine) -> str | None:
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def create(engine: Engine) -> bool:
    """Make an empty database's whole schema from the tables, which a test holds equal to the migrations.

    Returns False, having changed nothing, when there already is a schema. Every room's tables must be imported.
    """
    with engine.connect() as connection, dialects.write(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        if inspect(connection).get_table_names():
            return False
        metadata.create_all(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
    return True


def migrate(engine: Engine, *, sqlite_file: Path | None = None, target: str = "head") -> None:
    """Upgrade in one step under a lock; a SQLite file with data in it is copied beside itself first.

    Raises StartFailure when the database was written by a newer Dársena.
    """
    revision = current_revision(engine)
    if revision == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StartFailure(
            f"the database has schema {revision!r}, which this version does not know: "
            "it was written by a newer Dársena; install that version or a later one"
        )
    if sqlite_file is not None and revision is not None:
        _copy(sqlite_file, sqlite_file.with_name(f"{sqlite_file.name}.before-{HEAD}"))
    with engine.connect() as connection, dialects.write(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        config.attributes["connection"] = connection
        command.upgrade(config, target)


def _copy(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    target.chmod(0o600)
