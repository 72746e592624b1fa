"""What the journal says about runs, on the registry's stream."""

from __future__ import annotations

from typing import Any, ClassVar

from darsena.journal import EventBody
from darsena.tasks.model import ImageDescriptor


class RunQueued(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "run.queued"

    run_uid: str
    run_id: str
    run_type: str
    platform: str
    task: str | None = None


class RunStarted(EventBody, frozen=True, kw_only=True):
    """An agent took it."""

    kind: ClassVar[str] = "run.started"

    run_uid: str
    run_id: str
    agent: str


class RunExecuted(EventBody, frozen=True, kw_only=True):
    """Its first step was handed to the engine: its status is Running from here on."""

    kind: ClassVar[str] = "run.executed"

    run_uid: str
    run_id: str


class RunRequeued(EventBody, frozen=True, kw_only=True):
    """The agent was gone before it heard of the run: the run waits again."""

    kind: ClassVar[str] = "run.requeued"

    run_uid: str
    run_id: str


class RunFinished(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "run.finished"

    run_uid: str
    run_id: str
    previous_status: str
    status: str
    error: str | None = None
    output_images: tuple[ImageDescriptor, ...] = ()
    dependencies: tuple[dict[str, Any], ...] = ()
    created_at: int
    started_at: int | None = None
    task: str | None = None


class RunUpdated(EventBody, frozen=True, kw_only=True):
    kind: ClassVar[str] = "run.updated"

    run_uid: str
    run_id: str
    was_archive_enabled: bool
    is_archive_enabled: bool


class RunRemoved(EventBody, frozen=True, kw_only=True):
    """The time for which runs are kept was over: the run and its log are gone."""

    kind: ClassVar[str] = "run.removed"

    run_uid: str
    run_id: str
