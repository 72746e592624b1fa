"""How a run ended, and the last lines of its log that say so (tasks-engine, sections 21 and 22)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from darsena.agent.dependencies import DependencyBook
from darsena.agent.protocol import RunStatus

StopReason = Literal["canceled", "timeout", "lost", "stopped"]


@dataclass(slots=True, kw_only=True)
class Outcome:
    status: RunStatus
    error: str | None = None
    step: str | None = None
    """The failed step's line in the trailer."""
    book: DependencyBook = field(default_factory=DependencyBook)
    commit: str = ""


def render_duration(seconds: float) -> str:
    """`5s`, `1m2s`, `1h0m0s`, as Go prints whole seconds."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def render_trailer(run_id: str, outcome: Outcome, error: str | None, elapsed_s: float) -> str:
    duration = render_duration(elapsed_s)
    match outcome.status:
        case "Succeeded":
            return f"Run ID: {run_id} was successful after {duration}"
        case "Timeout":
            return f"Run ID: {run_id} timed out after {duration}"
        case "Canceled":
            return f"Run ID: {run_id} was canceled after {duration}"
        case _:
            head = f"{outcome.step}\n\n" if outcome.step else ""
            return f"{head}Run ID: {run_id} failed after {duration}. Error: {error}"


def outcome_of_stop(reason: StopReason | None) -> Outcome:
    match reason:
        case "canceled":
            return Outcome(status="Canceled")
        case "timeout":
            return Outcome(status="Timeout", error="the run's time is up")
        case "stopped":
            return Outcome(status="Error", error="server stopped")
        case _:
            return Outcome(status="Error", error="agent lost")
