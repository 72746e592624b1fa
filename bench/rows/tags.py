"""A registry that has grown: what a pull costs at a million tags."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from clients import ask_at_random
from peers import running_darsena, serving, target_of
from stand import Stand, alternate
from table import Result
from targets import Target

REPOSITORY = "bench/tags"
MANY = 1_000_000
FEW = 10
_MANIFEST = f"/v2/{REPOSITORY}/manifests/v%07d"
_PAGE_LENGTH = FEW - 1  # more follow, with ten as with a million
_PAGE = f"/v2/{REPOSITORY}/tags/list?n={_PAGE_LENGTH}&last=v%07d"


def a_million_tags(stand: Stand) -> Iterator[Result]:
    """One client that asks for random tags, and for pages of nine tags from random places: the time of an answer.

    Beside it, alternating, the same on a server whose registry has ten tags.
    """
    with _running(stand, FEW) as few, _running(stand, MANY) as many:
        for name, pattern, behind in (("manifest by tag", _MANIFEST, 0), ("page of nine tags", _PAGE, FEW)):

            def measure(
                target: Target, _round: int, pattern: str = pattern, behind: int = behind, few: Target = few
            ) -> float:
                places = (FEW if target is few else MANY) - behind
                asked = pattern if places else pattern.replace("v%07d", "u")  # the first page is the only full one
                return 1 / ask_at_random(target, REPOSITORY, asked, places)

            at_few, at_many = alternate(few, many, measure)
            yield Result(
                name=f"{name}: its time at 1,000,000 tags against 10",
                peer="-",
                ours=f"{median(at_many) * 1e6:.0f} / {median(at_few) * 1e6:.0f} µs",
                value=median(at_many) / median(at_few),
                goal=1.1,
                is_limit=True,
            )


def folder_with_tags(folder: Path, count: int) -> Path:
    """A data folder whose registry has so many tags on one image, pushed for ten and written as rows for the rest."""
    if folder.exists():  # another row has made it
        return folder
    with running_darsena(folder, "https") as target:
        for number in range(FEW):
            target.push_image(REPOSITORY, tag_of(number), layer=b"layer")
    if count > FEW:
        _write_rows(folder / "db" / "darsena.db", count)
    return folder


def _write_rows(database: Path, count: int) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(tag)")]
        values = ", ".join("printf('v%07d', n)" if column == "name" else column for column in columns)
        connection.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT {FEW} UNION ALL SELECT n + 1 FROM numbers WHERE n < {count - 1}) "
            f"INSERT INTO tag ({', '.join(columns)}) SELECT {values} FROM numbers, "
            f"(SELECT * FROM tag WHERE name = '{tag_of(0)}')"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def tag_of(number: int) -> str:
    return f"v{number:07}"


def port_of(folder: Path) -> int:
    return int(json.loads((folder / "darsena.json").read_text())["port"])


@contextlib.contextmanager
def _running(stand: Stand, count: int) -> Iterator[Target]:
    folder = folder_with_tags(stand.folder / f"tags-{count}", count)
    port = port_of(folder)
    with serving(folder, port, "--no-build") as process:
        yield target_of(folder, port, process.pid)
