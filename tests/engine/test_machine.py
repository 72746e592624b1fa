"""What the machine's programs say of themselves."""

from __future__ import annotations

import pytest

from darsena.engine.podman.machine import is_at_least


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.28.2", False), ("1.33.0", True), ("1.33.7-dev", True), ("1.9", False), ("2.0", True), ("", False)],
)
def test_versions_compare_as_numbers(version: str, expected: bool) -> None:
    assert is_at_least(version, 1, 33) is expected
