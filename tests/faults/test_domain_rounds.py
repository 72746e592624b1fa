"""The domain in a child that is killed: 1,000 rounds on SQLite, more on PostgreSQL. `make torture` goes on for longer.

The seed is printed; with it the order of work is the same again (moments are not): `make torture ROUNDS=50 SEED=…`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from darsena.testing.postgres import Postgres
from faults.children import run_together

SQLITE_ROUNDS, POSTGRESQL_ROUNDS = 1000, 60
PARTS, AT_ONCE = 5, 2
"""Each part is a test of its own, far from its limit on a slow machine too."""


def command(folder: Path, url: str, rounds: int) -> list[str]:
    return ["faults.domain_rounds", "--folder", str(folder), "--url", url, "--rounds", str(rounds)]


def total(results: list[dict[str, Any]], beginning: str) -> int:
    return sum(count for counts in results for name, count in counts.items() if name.startswith(beginning))


@pytest.mark.parametrize("part", range(PARTS))
def test_sqlite(tmp_path: Path, sqlite_template: Path, part: int) -> None:
    rounds, commands = SQLITE_ROUNDS // PARTS // AT_ONCE, list[list[str]]()
    for number in range(AT_ONCE):
        folder = tmp_path / f"{part}-{number}"
        folder.mkdir()
        (folder / "darsena.db").write_bytes(sqlite_template.read_bytes())
        commands.append(command(folder, f"sqlite:///{folder}/darsena.db", rounds))
    results = run_together(commands)
    assert total(results, "rounds: ") == SQLITE_ROUNDS // PARTS
    assert total(results, "killed at ") == total(results, "rounds: failpoint")
    assert len({name for counts in results for name in counts if name.startswith("killed at ")}) > 20
    assert total(results, "acknowledged") > SQLITE_ROUNDS // PARTS
    assert total(results, "in doubt, done") > 0
    assert total(results, "blobs in their time of grace, held") > 0


def test_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.create(clone=True)
    results = run_together([command(tmp_path, url, POSTGRESQL_ROUNDS)])
    postgres.drop(url)
    assert total(results, "rounds: ") == POSTGRESQL_ROUNDS
    assert total(results, "acknowledged") > POSTGRESQL_ROUNDS
