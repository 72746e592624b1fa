"""The login server of `api_v2`, in process, on both databases."""

from __future__ import annotations

from api_v2.conftest import world

__all__ = ["world"]
