"""What the server's processes keep in memory."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator

from clients import start_pull, start_push
from content import BigFile
from peers import running_darsena
from processes import highest_memory, memory_bytes
from stand import Stand
from table import Result
from targets import Target

_AT_ONCE = 32
_WATCHED_S = 20.0
_MIB = 1 << 20


def memory(stand: Stand) -> Iterator[Result]:
    """PSS of all processes of a server that runs builds too: idle, and the most while 32 clients pull 1 GiB each at
    once, then while 32 push 1 GiB each, over the first 20 seconds of both. Over TLS; the peer's figures beside."""
    with running_darsena(stand.folder / "darsena-memory", "https", builds=True) as ours:
        time.sleep(5)  # the agent has looked at its engine, the loops have had their first turn
        _, theirs = stand.pair("https")
        yield _limit("memory, idle", memory_bytes(theirs.pid), memory_bytes(ours.pid), 150)
        file = BigFile.make(stand.folder / "many", 1024)
        for name, start in (
            ("pulls", lambda target: start_pull(target, "bench/big", file.digest)),
            ("pushes", lambda target: start_push(target, "bench/big", file.path, file.digest)),
        ):
            peer, own = (_watch(target, file, start) for target in (theirs, ours))
            yield _limit(f"memory under {_AT_ONCE} {name} of 1 GiB", peer, own, 300)


def _watch(target: Target, file: BigFile, start: Callable[[Target], subprocess.Popen[str]]) -> int:
    file.push(target, "bench/big")
    running = [start(target) for _ in range(_AT_ONCE)]
    try:
        return highest_memory(target.pid, _WATCHED_S, lambda: any(curl.poll() is None for curl in running))
    finally:
        for curl in running:
            curl.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                curl.communicate(timeout=20)


def _limit(name: str, peer: int, own: int, goal: int) -> Result:
    return Result(
        name=name,
        peer=f"{peer / _MIB:.0f} MiB",
        ours=f"{own / _MIB:.0f} MiB",
        value=own / _MIB,
        goal=goal,
        unit=" MiB",
        is_limit=True,
    )
