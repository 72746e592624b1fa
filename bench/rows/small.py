"""Many small pulls: what a cluster's nodes ask for most."""

from __future__ import annotations

from collections.abc import Iterator

from clients import ask_often
from stand import Stand
from table import Result, per_second, ratio_of

REPOSITORY = "bench/small"
SCHEMES = ("https", "http")


def manifest_by_tag(stand: Stand) -> Iterator[Result]:
    """`GET /v2/<name>/manifests/<tag>` on 32 connections kept open."""
    for scheme in SCHEMES:
        _push(stand, scheme)
        path = f"/v2/{REPOSITORY}/manifests/v1"
        ours, theirs = stand.alternate(scheme, lambda target, _, path=path: ask_often(target, REPOSITORY, path))
        yield ratio_of(f"manifest by tag, {scheme}", ours, theirs, 10, per_second)


def small_blob(stand: Stand) -> Iterator[Result]:
    """`GET /v2/<name>/blobs/<digest>` of 64 KiB on 32 connections kept open; from memory after the first."""
    for scheme in SCHEMES:
        path = f"/v2/{REPOSITORY}/blobs/{_push(stand, scheme)}"
        ours, theirs = stand.alternate(scheme, lambda target, _, path=path: ask_often(target, REPOSITORY, path))
        yield ratio_of(f"64 KiB blob, {scheme}", ours, theirs, 10, per_second)


def _push(stand: Stand, scheme: str) -> str:
    digests = {target.push_image(REPOSITORY, "v1", layer=b"\x5a" * 65536) for target in stand.pair(scheme)}
    assert len(digests) == 1
    return digests.pop()
