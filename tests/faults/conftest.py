"""Faults are logged with their tracebacks: rendering thousands of them takes far longer than what is tested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[object]]:
    """What was logged, kept and not rendered."""
    with capture_logs() as kept:
        yield kept  # type: ignore[misc]
