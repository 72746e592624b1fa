"""The processes of a server and the memory that they take."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def family(pid: int) -> Iterator[int]:
    """The process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from family(int(child))


def memory_bytes(pid: int) -> int:
    """PSS of the whole family: pages that several share count once."""
    total = 0
    for member in set(family(pid)):
        with contextlib.suppress(OSError):
            found = _PSS.search(Path(f"/proc/{member}/smaps_rollup").read_text())
            total += int(found[1]) * 1024 if found else 0
    return total


def highest_memory(pid: int, seconds: float, goes_on: Callable[[], bool]) -> int:
    """The most that was seen in so many seconds, or for as long as it goes on."""
    highest, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and goes_on():
        highest = max(highest, memory_bytes(pid))
        time.sleep(0.25)
    return highest
