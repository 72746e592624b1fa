"""Where everything of the driver lies.

    <state>/                          0711
      runs/<run uid>/                 one run; gone when it ends
        lock                          held (flock) by the agent that runs it: sweep leaves it alone
        config/                       containers.conf, storage.conf, registries.conf, logins, certificates
        store/  runroot/              the run's own images and containers
        xdg/  tmp/  tools/            the programs' runtime folder, temporary files and HOME
        net/                          files that hold the run's network namespaces
        workspace/                    /workspace of builds and steps
        home/                         /acb/home of steps
        scratch/                      the agent's
      cache/<registry uid>/           layers and bases that runs of one registry share

The programs see a run's folder at a short path of their own (`Paths.inside`): the state folder may lie where the build
user cannot go, and socket paths are limited to 107 bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDERS = ("config", "config/certs", "store", "runroot", "xdg", "tmp", "tools", "net", "workspace", "home")
MOUNT = Path("/run/darsena")
"""An empty folder on the host; the run's folders are bound below it in the run's own mount namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """A run's folder: `host` as the agent sees it, `inside` as the programs do (the same in rootless mode)."""

    host: Path
    inside: Path
    cache_host: Path
    cache_inside: Path

    def to_inside(self, path: Path) -> Path:
        return self.inside / path.relative_to(self.host)


class RunLock:
    """Held for a run's life; the kernel drops it when its agent dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def acquire(folder: Path) -> RunLock | None:
    """None when a live agent has it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return RunLock(descriptor)


def prepare_state(state: Path) -> None:
    """The state folder is ours; others may only pass through it, to what they own below."""
    for folder in (state, state / "runs", state / "cache"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)


def make_run_folder(folder: Path, owner: tuple[int, int] | None) -> None:
    folder.mkdir(mode=0o711, exist_ok=True)
    for name in _FOLDERS:
        path = folder / name
        path.mkdir(mode=0o755, exist_ok=True)
        if owner is not None:
            os.chown(path, *owner)
    (folder / "xdg").chmod(0o700)
    (folder / "config").chmod(0o700)
    (folder / "workspace").chmod(0o777)
    (folder / "scratch").mkdir(mode=0o700, exist_ok=True)


def list_runs(state: Path) -> Iterator[Path]:
    runs = state / "runs"
    yield from sorted(runs.iterdir()) if runs.is_dir() else ()


def remove_tree(folder: Path) -> bool:
    """True when nothing is left."""
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return True
    return False
