"""The world that runs live in, for these tests."""

from __future__ import annotations

from runs_world import world

__all__ = ["world"]
