"""Named points between two steps of a write, where a fault test ends or fails the process. Else they do nothing.

`DARSENA_FAILPOINT=name` or `name:kill` ends the process there with SIGKILL, as a power cut would; `name:raise` raises
OSError(EIO). `@FILE` reads the point from that file and removes it on reaching the point: it happens once, although the
process is started again. Set from outside only: nothing that a client sends reaches it. `watch` tells of every point.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

VARIABLE = "DARSENA_FAILPOINT"

Watcher = Callable[[str], None]

_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Call this with the name of every point that is reached, in its thread; None: nobody any more."""
    global _watcher
    _watcher = watcher


def failpoint(name: str) -> None:
    """Do nothing, unless the environment names this point."""
    if _watcher is not None:
        _watcher(name)
    armed = os.environ.get(VARIABLE)
    if armed is None:
        return
    once = Path(armed[1:]) if armed.startswith("@") else None
    point, _, action = (_read(once) if once else armed).partition(":")
    if point != name:
        return
    if once:
        once.unlink()
    if action == "raise":
        raise OSError(errno.EIO, f"failpoint {name}")
    os.kill(os.getpid(), signal.SIGKILL)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
