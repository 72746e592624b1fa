"""Layers of a gibibyte: bytes a second."""

from __future__ import annotations

from collections.abc import Iterator

from clients import pull_big
from content import BigFile
from stand import Stand
from table import Result, megabytes, ratio_of
from targets import Target

SCHEMES = ("https", "http")


def pull_one(stand: Stand) -> Iterator[Result]:
    """One download of 1 GiB whose bytes are in the page cache of both."""
    for scheme in SCHEMES:
        yield _pull(stand, scheme, "1 GiB pulled", 1, 1.0)


def pull_four(stand: Stand) -> Iterator[Result]:
    """Four downloads of it at once."""
    for scheme in SCHEMES:
        yield _pull(stand, scheme, "4 x 1 GiB pulled at once", 4, 0.75 if scheme == "https" else 0.9)


def push(stand: Stand) -> Iterator[Result]:
    """An upload of 512 MiB that neither has, by POST and PUT."""
    for scheme in SCHEMES:

        def measure(target: Target, _round: int) -> float:
            file = BigFile.make(stand.folder / "pushed", 512)
            return file.push(target, "bench/big")

        yield ratio_of(f"512 MiB pushed, {scheme}", *stand.alternate(scheme, measure), 1.3, megabytes)


def _pull(stand: Stand, scheme: str, name: str, streams: int, goal: float) -> Result:
    blob = stand.big_blob(scheme)

    def measure(target: Target, _round: int) -> float:
        return pull_big(target, "bench/big", blob.digest, blob.size, streams)

    return ratio_of(f"{name}, {scheme}", *stand.alternate(scheme, measure), goal, megabytes)
