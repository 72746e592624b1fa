"""The layer cache: one read-only image store per registry, filled from runs that built well.

A run sees its registry's store beside its own and finds layers there; it never writes into it. What a build made is
copied over by way of a layout in the run's folder, since no program can open two stores. Names say nothing: an image
is in the cache under its id only, and what a Dockerfile may build upon is decided by the pull, with the run's logins.
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
_PREFIX = "localhost/darsena-cache"

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
    own = await _list(sandbox, {})
    extra = {"CONTAINERS_STORAGE_CONF": str(sandbox.paths.inside / "config/cache-storage.conf")}
    known = await _list(sandbox, extra)
    for image in own:
        if image not in known and not await _copy(sandbox, image, extra):
            return


async def _list(sandbox: Sandbox, extra: dict[str, str]) -> list[str]:
    """Ids, oldest first: a child's layers are there when it comes."""
    program = ["buildah", "--log-level=error", "images", "--all", "--quiet", "--no-trunc"]
    answer = await sandbox.ask(program, namespace=True, extra=extra)
    ids = (line.strip().removeprefix("sha256:") for line in answer.out.splitlines())
    return list(dict.fromkeys(reversed([image for image in ids if image])))


async def _copy(sandbox: Sandbox, image: str, extra: dict[str, str]) -> bool:
    layout = f"oci:{sandbox.paths.inside / 'tmp' / 'layout'}:{image}"
    skopeo = ["skopeo", "copy", "--quiet", "--insecure-policy"]
    export = [*skopeo, "--dest-oci-accept-uncompressed-layers", f"containers-storage:@{image}", layout]
    answer = await sandbox.ask(export, namespace=True, timeout_s=_COPY_S)
    if answer.code == 0:
        with await asyncio.to_thread(_Writer, sandbox.paths.cache_host):
            target = f"containers-storage:{_PREFIX}:{image}"
            answer = await sandbox.ask([*skopeo, layout, target], namespace=True, extra=extra, timeout_s=_COPY_S)
    if answer.code:
        _log.info("layer_not_cached", image=image[:12], reason=answer.message)
    return answer.code == 0


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
