"""Conditions of runs that other rooms do not have."""

from __future__ import annotations

from darsena.core.errors import AccessDenied, Conflict


class RunLost(Conflict):
    """The agent that writes does not hold the run any more: it must end it and write nothing."""

    def __init__(self, run_uid: str) -> None:
        super().__init__(f"the run {run_uid} is not held under this agent and fence any more", code="RunLost")


class SourceClaimed(AccessDenied):
    """A run uses the source: its signed address does not let anybody write it any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the source {name} is used by a run and cannot be written any more; ask for a new address")
