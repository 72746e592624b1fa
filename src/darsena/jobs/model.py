"""A job, and what its kind says about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

JobStatus = Literal["Queued", "Running", "Succeeded", "Failed"]


class Hopeless(Exception):
    """Raised by a handler: trying again cannot help. The job fails at once, with this text as its last error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`attempt` counts claims; `fence` grows with each and stands in every write about this claim."""

    id: int
    kind: str
    key: str
    body: bytes
    status: JobStatus
    attempt: int
    fence: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """The handler must be idempotent: it runs again after a crash, a timeout or a lost lease."""

    name: str
    handler: Callable[[Job], Awaitable[None]]
    limit: int = 1
    """Jobs of this kind that run at the same time, in all processes together."""
    attempts: int = 10
    first_retry_s: float = 1.0
    """Doubled after each failure, up to `longest_retry_s`."""
    longest_retry_s: float = 3600.0
    timeout_s: float = 3600.0

    def retry_delay_s(self, attempt: int) -> float:
        """How long to wait after the given attempt has failed; the first is 1."""
        return min(self.first_retry_s * 2.0 ** min(attempt - 1, 64), self.longest_retry_s)
