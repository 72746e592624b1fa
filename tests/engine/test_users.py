"""Ranges of subordinate ids do not overlap."""

from __future__ import annotations

import pytest

from darsena.engine.podman.users import free_range


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        ([], 165536),
        ([(100000, 65536)], 165536),
        ([(100000, 65536), (165536, 65536)], 262144),
        ([(231072, 65536)], 165536),
        ([(200000, 10)], 262144),
    ],
)
def test_a_free_range(taken: list[tuple[int, int]], first: int) -> None:
    found = free_range(taken)
    assert found == first
    assert all(start + size <= found or found + 65536 <= start for start, size in taken)
