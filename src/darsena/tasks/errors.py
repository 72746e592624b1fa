"""Conditions of runs that other rooms do not have."""

from __future__ import annotations

from darsena.core.errors import Conflict


class RunLost(Conflict):
    """The agent that writes does not hold the run any more: it must end it and write nothing."""

    def __init__(self, run_uid: str) -> None:
        super().__init__(f"the run {run_uid} is not held under this agent and fence any more", code="RunLost")
