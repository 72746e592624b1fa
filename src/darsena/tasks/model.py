"""Runs as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from darsena.resources.model import SystemData

RunStatus = Literal["Queued", "Started", "Running", "Succeeded", "Failed", "Canceled", "Error", "Timeout"]
EndStatus = Literal["Succeeded", "Failed", "Canceled", "Error", "Timeout"]

LOG_WORDS: Final[dict[EndStatus, str]] = {
    "Succeeded": "successful",
    "Failed": "failed",
    "Canceled": "canceled",
    "Timeout": "timedout",
    "Error": "internalerror",
}
"""How a log says that it is complete. Clients take their exit status from this word, not from the run's status."""

DEFAULT_POOL: Final = "default"
DEFAULT_CPU: Final = 2


class ImageDescriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image that a run pushed, or one that it was made from."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None


class RunPlatform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lower case throughout."""

    os: str
    architecture: str = "amd64"
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`run_id` names it within its registry; `uid` for ever."""

    id: int
    uid: str
    registry_uid: str
    number: int
    run_id: str
    status: RunStatus
    run_type: str
    task_name: str | None
    agent_pool_name: str | None
    platform: RunPlatform
    cpu: int
    timeout_s: int
    is_archive_enabled: bool
    source_name: str | None
    source_registry_auth: str | None
    custom_registries: tuple[str, ...]
    output_images: tuple[ImageDescriptor, ...]
    dependencies: tuple[dict[str, Any], ...]
    error: str | None
    log_size: int
    log_word: str | None
    """None until the log is complete."""
    created_at_us: int
    started_at_us: int | None
    finished_at_us: int | None
    updated_at_us: int
    system_data: SystemData

    @property
    def log_name(self) -> str:
        return f"logs/{self.run_id}/rawtext.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A row of the queue: a run that has not ended."""

    id: int
    uid: str
    registry_uid: str
    platform: str
    cpu: int
    owner: str | None
    lease_until_us: int | None
    fence: int
    attempt: int
    cancel_requested: bool
    end_status: EndStatus | None
    end_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ends."""

    status: EndStatus
    error: str | None = None
    output_images: tuple[ImageDescriptor, ...] = ()
    dependencies: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """An agent that asks for a run: `cpu` processors of its own are free."""

    agent: str
    pool: str
    cpu: int
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    id: str
    pool: str
    cpu: int
    platforms: tuple[str, ...]
    info: dict[str, Any]
    seen_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """Where a run that waits stands, and why it waits."""

    position: int
    """1 is next."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    registry_uid: str
    name: str
    is_claimed: bool
    staged_bytes: int
    created_at_us: int
    written_at_us: int | None
    """None until it is there."""
