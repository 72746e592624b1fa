"""Runs as ARM shows them. Secrets are in no view: a custom registry is its name, and the request is not shown."""

from __future__ import annotations

import msgspec

from darsena.api.arm.views import SystemDataView, View
from darsena.core.clock import render_time_offset
from darsena.resources.ids import REGISTRY_TYPE
from darsena.resources.model import RegistryRow
from darsena.tasks.model import ImageDescriptor, QueuePlace, Run, RunPlatform

RUN_TYPE = f"{REGISTRY_TYPE}/runs"


class AgentConfigurationView(View, frozen=True, kw_only=True):
    cpu: int


class RunPropertiesView(View, frozen=True, kw_only=True):
    run_id: str
    status: str
    last_updated_time: str
    run_type: str | None = None
    agent_pool_name: str | None = None
    create_time: str | None = None
    start_time: str | None = None
    finish_time: str | None = None
    output_images: list[ImageDescriptor] | None = None
    task: str | None = None
    platform: RunPlatform | None = None
    agent_configuration: AgentConfigurationView | None = None
    source_registry_auth: str | None = None
    custom_registries: list[str] | None = None
    run_error_message: str | None = None
    queue_position: int | None = None
    """Ours: 1 is next. Only of one run that waits."""
    queue_reason: str | None = None
    """Ours: why it waits."""
    provisioning_state: str
    is_archive_enabled: bool


class RunView(View, frozen=True, kw_only=True):
    type: str
    properties: RunPropertiesView
    id: str
    name: str
    system_data: SystemDataView


class RunListView(View, frozen=True, kw_only=True):
    value: list[RunView]
    next_link: str | None = None


class UploadView(View, frozen=True, kw_only=True):
    upload_url: str
    relative_path: str


class LogLinkView(View, frozen=True, kw_only=True):
    log_link: str


class RunUpdateBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Flat, without `properties`."""

    is_archive_enabled: bool | None = None


def run_view(row: RegistryRow, run: Run, place: QueuePlace | None = None) -> RunView:
    return _view(row, run, _properties(run, place))


def scheduled_view(row: RegistryRow, run: Run) -> RunView:
    """The little that the service answers to `scheduleRun`."""
    return _view(
        row,
        run,
        RunPropertiesView(
            run_id=run.run_id,
            status=run.status,
            last_updated_time=_render_second(run.updated_at_us),
            provisioning_state="Succeeded",
            is_archive_enabled=run.is_archive_enabled,
        ),
    )


def _properties(run: Run, place: QueuePlace | None) -> RunPropertiesView:
    return RunPropertiesView(
        run_id=run.run_id,
        status=run.status,
        last_updated_time=_render_second(run.updated_at_us),
        run_type=run.run_type,
        agent_pool_name=run.agent_pool_name,
        create_time=render_time_offset(run.created_at_us),
        start_time=_render(run.started_at_us),
        finish_time=_render(run.finished_at_us),
        output_images=list(run.output_images) or None,
        task=run.task_name,
        platform=run.platform,
        agent_configuration=AgentConfigurationView(cpu=run.cpu),
        source_registry_auth=run.source_registry_auth,
        custom_registries=list(run.custom_registries) or None,
        run_error_message=run.error,
        queue_position=None if place is None else place.position,
        queue_reason=None if place is None else place.reason,
        provisioning_state="Succeeded",
        is_archive_enabled=run.is_archive_enabled,
    )


def _view(row: RegistryRow, run: Run, properties: RunPropertiesView) -> RunView:
    data = run.system_data
    return RunView(
        type=RUN_TYPE,
        properties=properties,
        id=f"{row.resource_id}/runs/{run.run_id}",
        name=run.run_id,
        system_data=SystemDataView(
            created_by=data.created_by.name,
            created_by_type=data.created_by.kind,
            created_at=render_time_offset(data.created_at_us),
            last_modified_by=data.modified_by.name,
            last_modified_by_type=data.modified_by.kind,
            last_modified_at=render_time_offset(data.modified_at_us),
        ),
    )


def _render(at_us: int | None) -> str | None:
    return None if at_us is None else render_time_offset(at_us)


def _render_second(at_us: int) -> str:
    """Whole seconds, as the service writes `lastUpdatedTime`."""
    return f"{render_time_offset(at_us)[:19]}+00:00"
