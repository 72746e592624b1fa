"""Each run has a cgroup of its own: it bounds the run and is what ends it, since no process can leave it.

Version 2 (one tree), version 1 (a tree per controller) and the hybrid of both. Where no cgroup can be made, `Processes`
in `processes.py` finds a run's processes by their marks instead.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_V1_CONTROLLERS = ("pids", "memory", "cpu", "freezer")
_TOP = "darsena"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    cpu: float | None
    pids_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCgroup:
    """The run's directory in each tree. Empty `paths` = no cgroup can be made here."""

    paths: tuple[Path, ...]
    unified: bool
    parent: str | None
    """What a runtime is told as parent for containers' cgroups; None = it makes none and they stay in ours."""
    others: tuple[Path, ...] = ()
    """The same directory in trees that we do not join: a runtime makes it there for its containers."""

    @property
    def entries(self) -> tuple[Path, ...]:
        """The `cgroup.procs` files that a new process of the run writes itself into."""
        leaf = "tools/cgroup.procs" if self.unified else "cgroup.procs"
        return tuple(path / leaf for path in self.paths)

    def pids(self) -> set[int]:
        found: set[int] = set()
        for path in self.paths:
            for folder in _walk(path):
                found.update(_read_pids(folder))
        return found - {os.getpid()}

    def kill(self, timeout_s: float = 10.0) -> bool:
        """KILL until nothing is left; False if something stays (a process stuck in the kernel). Blocking."""
        deadline = time.monotonic() + timeout_s
        while True:
            for path in self.paths:
                if (path / "cgroup.kill").exists():
                    _write(path / "cgroup.kill", "1")
            left = self.pids()
            if not left:
                return True
            for pid in left:
                _kill(pid)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)

    def remove(self) -> bool:
        """True when the directories are gone. Only an empty cgroup can be removed."""
        for path in (*self.paths, *self.others):
            for folder in sorted(_walk(path), key=lambda f: len(f.parts), reverse=True):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupTree:
    """Where runs' cgroups are made. `owner` = the build user, to whom a version 2 subtree is delegated."""

    roots: tuple[Path, ...]
    unified: bool
    top: str
    owner: tuple[int, int] | None
    others: tuple[Path, ...] = ()
    containers: bool
    """Whether runtimes can make cgroups for containers below ours."""

    def find(self, run_uid: str) -> RunCgroup:
        paths, others = (
            tuple(root / self.top.lstrip("/") / run_uid for root in roots) for roots in (self.roots, self.others)
        )
        parent = f"{self.top.rstrip('/')}/{run_uid}" if self.containers else None
        return RunCgroup(paths=paths, unified=self.unified, parent=parent, others=others)

    def create(self, run_uid: str, limits: Limits) -> RunCgroup:
        """Make and bound the run's cgroup; without rights for any, one with no paths."""
        cgroup = self.find(run_uid)
        made = tuple(path for path in cgroup.paths if self._make(path, limits))
        return replace(cgroup, paths=made, parent=cgroup.parent if made else None)

    def _make(self, path: Path, limits: Limits) -> bool:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if self.unified:
                self._delegate(path)
        except OSError:
            return False
        quota = None if limits.cpu is None else round(limits.cpu * 100_000)
        _write(path / "pids.max", str(limits.pids_max))
        if quota is not None and self.unified:
            _write(path / "cpu.max", f"{quota} 100000")
        elif quota is not None:
            _write(path / "cpu.cfs_quota_us", str(quota))
        return os.access(path / ("tools/cgroup.procs" if self.unified else "cgroup.procs"), os.W_OK)

    def _delegate(self, path: Path) -> None:
        """A version 2 cgroup holds processes or children: tools go to the leaf `tools`, containers beside it."""
        for folder in (path.parent, path):
            _write(folder / "cgroup.subtree_control", "+pids +cpu +memory")
        (path / "tools").mkdir(exist_ok=True)
        if self.owner is not None:
            for name in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tools"):
                os.chown(path / name, *self.owner)


def detect(owner: tuple[int, int] | None, rootless: bool, proc: Path = Path("/proc/self")) -> CgroupTree:
    """The trees that this process may make cgroups in; none is a valid answer."""
    unified, controllers = _mounts(proc)
    own = _own_paths(proc)
    privileged = os.geteuid() == 0
    if unified is not None and not any(name in controllers for name in _V1_CONTROLLERS):
        top = f"/{_TOP}" if privileged else f"{own.get('', '/').rstrip('/')}/{_TOP}"
        return CgroupTree(roots=(unified,), unified=True, top=top, owner=owner, containers=True)
    roots = tuple(controllers[name] for name in _V1_CONTROLLERS if name in controllers)
    if not privileged:
        roots = ()
    every = {*controllers.values(), *((unified,) if unified else ())}
    return CgroupTree(
        roots=roots,
        others=tuple(sorted(every - set(roots))) if roots else (),
        unified=False,
        top=f"/{_TOP}",
        owner=None,
        containers=bool(roots) and not rootless,
    )


def _mounts(proc: Path) -> tuple[Path | None, dict[str, Path]]:
    unified: Path | None = None
    controllers: dict[str, Path] = {}
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        point = Path(before.split(" ")[4])
        if kind == "cgroup2":
            unified = point
        elif kind == "cgroup":
            controllers.update(dict.fromkeys((name for name in options.split(",") if name not in ("rw", "ro")), point))
    return unified, controllers


def _own_paths(proc: Path) -> dict[str, str]:
    lines = (line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines())
    return {names: path for _, names, path in lines}


def _walk(path: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(path):
        yield Path(folder)


def _read_pids(folder: Path) -> set[int]:
    try:
        return {int(line) for line in (folder / "cgroup.procs").read_text().split() if line != "0"}
    except OSError:
        return set()


def _write(path: Path, text: str) -> None:
    """A controller that is absent or not delegated bounds nothing; the run goes on without that bound."""
    try:
        path.write_text(text)
    except OSError:
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
