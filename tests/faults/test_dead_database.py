"""A database that is away, or damaged: 503 with Retry-After, never 500; it recovers with nobody's help (promise R7)."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from api_v2 import conftest as login_server
from api_v2.world import World, digest_of
from darsena.core.errors import Unavailable
from darsena.db import Database, Tx
from darsena.testing.postgres import Postgres
from faults.test_every_call import Client

world = login_server.world


@pytest.fixture(params=["postgresql"])
def where(request: pytest.FixtureRequest, postgres: Postgres) -> tuple[str, str]:
    """The database's name, and how to reach another of the same server."""
    database: Database = request.getfixturevalue("db")
    return str(
        database.engine.url.database
    ), f"host={postgres.folder} port={postgres.port} user=darsena dbname=postgres"


def set_reachable(where: tuple[str, str], is_reachable: bool) -> None:
    name, server = where
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {is_reachable}'.encode())
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
async def test_away_and_back(world: World, where: tuple[str, str]) -> None:
    image = await world.push_image("a/b", "v1")
    client, data = Client(world), b"pushed meanwhile"
    target = f"/v2/a/b/blobs/uploads/?digest={digest_of(data)}"
    for _ in range(2):
        set_reachable(where, False)
        answers = [
            await client.ask("GET", "/v2/a/b/manifests/v1"),
            await client.ask("POST", target, data),
            await client.ask("PUT", "/v2/a/b/manifests/v2", image.content, content_type=image.media_type),
            await client.ask("DELETE", "/v2/a/b/manifests/v1"),
        ]
        assert [answer.status for answer in answers] == [503] * 4
        set_reachable(where, True)
        assert (await client.ask("GET", "/v2/a/b/manifests/v1")).status == 200
        assert (await client.ask("POST", target, data)).status == 201


def test_a_damaged_file_is_no_defect_of_ours(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "darsena.db"
    content = bytearray(sqlite_template.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    db = Database(f"sqlite:///{path}")

    def count(tx: Tx) -> int:
        return tx.connection.exec_driver_sql("SELECT count(*) FROM repository").scalar_one()

    with pytest.raises(Unavailable):
        db.read_sync(count)
    with pytest.raises(Unavailable):
        db.transact_sync(count)
    db.close()
