"""Small images pushed: what a build server does all day."""

from __future__ import annotations

from collections.abc import Iterator

from clients import push_images
from stand import ROUNDS, Stand
from table import Result, per_second, ratio_of
from targets import Target

_IMAGES = 1000


def push_small_images(stand: Stand) -> Iterator[Result]:
    """1,000 images of one small layer, 200 a round: two blobs looked for and pushed, and a manifest under a tag."""
    for scheme in ("https", "http"):
        for at_once in (1, 8):

            def measure(target: Target, round_: int, at_once: int = at_once) -> float:
                names = [f"v{at_once}-{round_}-{number}" for number in range(_IMAGES // ROUNDS)]
                return push_images(target, "bench/many", names, at_once=at_once)

            name = f"1,000 small images pushed, {at_once} at a time, {scheme}"
            yield ratio_of(name, *stand.alternate(scheme, measure), 1.5, per_second)
