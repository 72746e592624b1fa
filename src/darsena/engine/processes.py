"""Finding and reaping processes where the kernel gives no better handle."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Orphans of this process's children become its own children, so that `reap` can clear them away."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(is_ours: Callable[[int], bool]) -> int:
    """Clear dead children that nobody waits for; those that `is_ours` names are left to their owner."""
    cleared = 0
    for pid in children_of(os.getpid()):
        if is_ours(pid):
            continue
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None:
                cleared += 1
        except ChildProcessError:
            continue
    return cleared


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def find_marked(mark: str) -> set[int]:
    """Processes whose command line or environment holds `mark`, and everything below them."""
    needle, found = mark.encode(), set[int]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and any(needle in _read(folder / name) for name in ("cmdline", "environ")):
            found.add(int(folder.name))
    queue = list(found)
    while queue:
        for child in children_of(queue.pop()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found - {os.getpid(), os.getppid()}


def kill_marked(mark: str, timeout_s: float = 5.0) -> bool:
    """KILL what `find_marked` finds until nothing is left. False if something stays. Blocking."""
    deadline = time.monotonic() + timeout_s
    while left := {pid for pid in find_marked(mark) if not _is_zombie(pid)}:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_zombie(pid: int) -> bool:
    status = _read(Path(f"/proc/{pid}/stat"))
    return not status or status.rpartition(b")")[2].split()[:1] == [b"Z"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
