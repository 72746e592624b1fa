"""`make torture`: kill -9 for as long as one likes, of the domain on both databases and of the whole server under load.

Prints the seed first and the counts last, as JSON. What fails leaves its folder, whose name is printed, as it was.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from darsena.db import Database
from darsena.db.migrate import migrate
from darsena.testing.postgres import running_postgres
from faults.children import run_together

_SERVER_SHARE = 20
"""A round of the whole server takes some twenty times as long as one of the domain."""


def torture_domain(folder: Path, options: list[str]) -> dict[str, Any]:
    """SQLite and PostgreSQL side by side."""
    with running_postgres() as postgres:
        urls = {"sqlite": f"sqlite:///{folder}/sqlite/darsena.db", "postgresql": postgres.create("torture")}
        commands = [prepare(folder / name, url) for name, url in urls.items()]
        results = run_together([[*command, *options] for command in commands], within_s=None)
    return dict(zip(urls, results, strict=True))


def prepare(folder: Path, url: str) -> list[str]:
    folder.mkdir()
    db = Database(url)
    migrate(db.engine)
    db.close()
    return ["faults.domain_rounds", "--folder", str(folder), "--url", url]


def main() -> int:
    parser = argparse.ArgumentParser(description="Rounds of kill -9, and what must be true after each.")
    parser.add_argument("--rounds", type=int, default=2000, help="of the domain on each database; of the server 1/20")
    parser.add_argument("--seconds", type=float, default=0, help="go on for at least so long, domain and server each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    folder, begun = Path(tempfile.mkdtemp(prefix="darsena-torture-")), time.monotonic()
    print(f"in {folder}", flush=True)
    common = ["--seconds", str(chosen.seconds), "--seed", str(chosen.seed)]
    counts = torture_domain(folder, ["--rounds", str(chosen.rounds), *common])
    rounds = max(chosen.rounds // _SERVER_SHARE, 1)
    server = ["e2e.server_rounds", "--folder", str(folder / "server"), "--rounds", str(rounds), *common]
    counts["server"] = run_together([server], within_s=None)[0]
    shutil.rmtree(folder)
    print(json.dumps({"seed": chosen.seed, "took_s": round(time.monotonic() - begun), **counts}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
