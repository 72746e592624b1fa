"""The rows of the table by name, in order. Each is a function from the stand to what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stand import Stand
from table import Result

from rows import beside, big, images, memory, small, starting, tags

Row = Callable[[Stand], Iterator[Result]]

ROWS: dict[str, Row] = {
    "tag": small.manifest_by_tag,
    "small": small.small_blob,
    "pull": big.pull_one,
    "pull4": big.pull_four,
    "push": big.push,
    "images": images.push_small_images,
    "beside": beside.tag_beside_big_streams,
    "tags": tags.a_million_tags,
    "start": starting.start_with_a_million_tags,
    "memory": memory.memory,
}
