"""Small pulls while big ones run: nobody waits behind somebody's layer."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from statistics import median

from clients import ask_often, start_pull
from stand import ROUNDS, Stand
from table import Result, per_second
from targets import Target

from rows import small


def tag_beside_big_streams(stand: Stand) -> Iterator[Result]:
    """A manifest by tag on 32 connections, alone and beside two downloads that do not end; the peer's share as well."""
    scheme = "https"
    ours, theirs = stand.pair(scheme)
    blob = stand.big_blob(scheme)
    for target in (ours, theirs):
        target.push_image(small.REPOSITORY, "v1", layer=b"\x5a" * 65536)
    alone, beside = _measure(ours, blob.digest)
    peer_alone, peer_beside = _measure(theirs, blob.digest)
    yield Result(
        name=f"manifest by tag beside two big pulls, {scheme}",
        peer=f"{peer_beside / peer_alone:.2f} of its rate",
        ours=f"{per_second(beside)} of {per_second(alone)}",
        value=beside / alone,
        goal=0.5,
    )


def _measure(target: Target, digest: str) -> tuple[float, float]:
    path = f"/v2/{small.REPOSITORY}/manifests/v1"
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone.append(ask_often(target, small.REPOSITORY, path, seconds=2))
        with _pulling(target, digest, 2):
            beside.append(ask_often(target, small.REPOSITORY, path, seconds=2))
    return median(alone), median(beside)


@contextlib.contextmanager
def _pulling(target: Target, digest: str, streams: int) -> Iterator[None]:
    """Downloads that begin again when they end."""
    running = [start_pull(target, "bench/big", digest, times=1000) for _ in range(streams)]
    try:
        yield
    finally:
        for curl in running:
            assert curl.poll() is None, f"{target.name} ended a download"
            curl.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                curl.communicate(timeout=10)
