"""The domain in a child that is killed: 1,000 rounds on SQLite, more on PostgreSQL. `make torture` goes on for longer.

The seed is printed; with it the order of work is the same again (moments are not): `make torture ROUNDS=50 SEED=…`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from darsena.testing.postgres import Postgres

TESTS = Path(__file__).parents[1]
SQLITE_ROUNDS, POSTGRESQL_ROUNDS = 1000, 60
AT_ONCE = 2


def start(folder: Path, url: str, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "faults.domain_rounds", "--folder", str(folder), "--url", url]
    return subprocess.Popen(
        [*command, "--rounds", str(rounds)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    with process:
        out, _ = process.communicate(timeout=850)
    print(out)
    assert process.returncode == 0, out[-6000:]
    return json.loads(out.splitlines()[-1])


def total(results: list[dict[str, Any]], beginning: str) -> int:
    return sum(count for counts in results for name, count in counts.items() if name.startswith(beginning))


def test_sqlite(tmp_path: Path, sqlite_template: Path) -> None:
    started: list[subprocess.Popen[str]] = []
    for number in range(AT_ONCE):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "darsena.db").write_bytes(sqlite_template.read_bytes())
        started.append(start(folder, f"sqlite:///{folder}/darsena.db", SQLITE_ROUNDS // AT_ONCE))
    results = [end(process) for process in started]
    assert total(results, "rounds: ") == SQLITE_ROUNDS
    assert total(results, "killed at ") == total(results, "rounds: failpoint")
    assert len({name for counts in results for name in counts if name.startswith("killed at ")}) > 30
    assert total(results, "acknowledged") > SQLITE_ROUNDS
    assert total(results, "in doubt, done") > 0


def test_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.create(clone=True)
    result = end(start(tmp_path, url, POSTGRESQL_ROUNDS))
    postgres.drop(url)
    assert total([result], "rounds: ") == POSTGRESQL_ROUNDS
    assert total([result], "acknowledged") > POSTGRESQL_ROUNDS
