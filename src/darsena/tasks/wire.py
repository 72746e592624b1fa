"""Bodies of `scheduleRun`, as clients send them. Unknown members are ignored, null means absent, and values of
enumerations compare without case, so they stand here as strings."""

from __future__ import annotations

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Wire names in camel case."""


class ArgumentBody(Wire, frozen=True, kw_only=True):
    name: str | None = None
    value: str | None = None
    is_secret: bool | None = None


class PlatformBody(Wire, frozen=True, kw_only=True):
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None


class AgentConfigurationBody(Wire, frozen=True, kw_only=True):
    cpu: int | None = None


class SecretBody(Wire, frozen=True, kw_only=True):
    value: str | None = None
    type: str | None = None


class SourceRegistryBody(Wire, frozen=True, kw_only=True):
    login_mode: str | None = None
    identity: str | None = None


class CustomRegistryBody(Wire, frozen=True, kw_only=True):
    user_name: SecretBody | None = None
    password: SecretBody | None = None
    identity: str | None = None


class CredentialsBody(Wire, frozen=True, kw_only=True):
    source_registry: SourceRegistryBody | None = None
    custom_registries: dict[str, CustomRegistryBody | None] | None = None


class RunRequestBody(Wire, frozen=True, kw_only=True):
    """Of every `type`: DockerBuildRequest, EncodedTaskRunRequest, FileTaskRunRequest, TaskRunRequest."""

    type: str | None = None
    is_archive_enabled: bool | None = None
    agent_pool_name: str | None = None
    log_template: str | None = None
    timeout: int | None = None
    platform: PlatformBody | None = None
    agent_configuration: AgentConfigurationBody | None = None
    source_location: str | None = None
    credentials: CredentialsBody | None = None
    # DockerBuildRequest
    docker_file_path: str | None = None
    image_names: list[str] | None = None
    is_push_enabled: bool | None = None
    no_cache: bool | None = None
    target: str | None = None
    arguments: list[ArgumentBody] | None = None
    # EncodedTaskRunRequest
    encoded_task_content: str | None = None
    encoded_values_content: str | None = None
    # FileTaskRunRequest
    task_file_path: str | None = None
    values_file_path: str | None = None
    # both of them
    values: list[ArgumentBody] | None = None
    # TaskRunRequest
    task_id: str | None = None
