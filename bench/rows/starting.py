"""How long a server with a million tags takes to answer for the first time."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from peers import starting, target_of
from stand import ROUNDS, Stand
from table import Result

from rows.tags import MANY, folder_with_tags, port_of

_GIVE_UP_S = 60.0


def start_with_a_million_tags(stand: Stand) -> Iterator[Result]:
    """From `darsena serve` to the first answer of `/v2/`, asked for again until it comes; builds off."""
    folder = folder_with_tags(stand.folder / f"tags-{MANY}", MANY)
    taken = [_start(folder) for _ in range(ROUNDS)]
    yield Result(
        name="start to first answer with 1,000,000 tags",
        peer="-",
        ours=f"{min(taken):.2f} to {max(taken):.2f} s",
        value=median(taken),
        goal=1.5,
        unit=" s",
        is_limit=True,
    )


def _start(folder: Path) -> float:
    port = port_of(folder)
    began = time.monotonic()
    with starting(folder, port, "--no-build") as process:
        target = target_of(folder, port, process.pid)
        while time.monotonic() - began < _GIVE_UP_S:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _, _ = target.request("GET", "/v2/")
                assert status == 401
                return time.monotonic() - began
            time.sleep(0.005)
    raise SystemExit("Dársena did not answer")
