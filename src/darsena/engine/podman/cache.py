"""The layer cache: one read-only image store per registry, filled from runs that built well.

A run sees its registry's store beside its own and finds layers there; it never writes into it. What a build made is
copied over by way of an archive in the run's folder, since no program can open two stores. What a Dockerfile may build
upon is not decided here, but by the pull with the run's own logins: names of the store mean nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog

from darsena.engine.podman.folder import remove_tree
from darsena.engine.podman.sandbox import Sandbox

LIMIT_BYTES = 20 * 1024**3
_COPY_S = 300.0

_log = structlog.get_logger(__name__)


class CacheLease:
    """While a run holds it the store is not cleared away."""

    def __init__(self, cache: Path) -> None:
        self._descriptor = os.open(cache / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        os.close(self._descriptor)


async def promote(sandbox: Sandbox) -> None:
    """Copy what the run built into its registry's store. Failing costs speed only, so it is noted and no more."""
    extra = {"CONTAINERS_STORAGE_CONF": str(sandbox.paths.inside / "config/cache-storage.conf")}
    extra["CONTAINERS_CONF"] = str(sandbox.paths.inside / "config/cache-containers.conf")
    known = await _list(sandbox, extra)
    new = [image for image in await _list(sandbox, {}) if image not in known]
    if not new:
        return
    archive = f"{sandbox.paths.inside / 'tmp' / 'layers.tar'}"
    save = ["podman", "--log-level=error", "save", "--quiet", "--multi-image-archive", f"--output={archive}", *new]
    answer = await sandbox.ask(save, timeout_s=_COPY_S)
    if answer.code == 0:
        with await asyncio.to_thread(_Writer, sandbox.paths.cache_host):
            load = ["podman", "--log-level=error", "load", "--quiet", f"--input={archive}"]
            answer = await sandbox.ask(load, extra=extra, timeout_s=_COPY_S)
    if answer.code:
        _log.warning("layers_not_cached", count=len(new), reason=answer.message)


async def _list(sandbox: Sandbox, extra: dict[str, str]) -> list[str]:
    program = ["podman", "--log-level=error", "images", "--all", "--quiet", "--no-trunc"]
    answer = await sandbox.ask(program, extra=extra)
    return list(dict.fromkeys(line.strip().removeprefix("sha256:") for line in answer.out.splitlines()))


class _Writer:
    """One writer at a time, over all agents of the machine."""

    def __init__(self, cache: Path) -> None:
        self._descriptor = os.open(cache / "writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def trim(state: Path) -> int:
    """Clear away stores that have grown past the limit and that no run uses; how many. Blocking."""
    cleared = 0
    for cache in (state / "cache").iterdir() if (state / "cache").is_dir() else ():
        if _size(cache / "store") > LIMIT_BYTES:
            with _unused(cache) as unused:
                cleared += unused and remove_tree(cache / "store")
    return cleared


@contextmanager
def _unused(cache: Path) -> Generator[bool]:
    descriptor = os.open(cache / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _size(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue
    return total
