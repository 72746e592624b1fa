"""The agent protocol's messages (`/darsena/v1/agent`), and the requests that a run order carries."""

from __future__ import annotations

from typing import Literal

import msgspec

from darsena.engine.port import EngineInfo

_ASSEMBLED = (
    *("linux/amd64", "linux/386", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "linux/arm/v8"),
    "windows/amd64",
)
"""What images can be for that are made without executing anything of theirs."""

RunStatus = Literal["Running", "Succeeded", "Failed", "Canceled", "Timeout", "Error"]


class FaultMessage(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    fix: str


class EngineMessage(msgspec.Struct, frozen=True, kw_only=True):
    engine: str
    version: str
    mode: str
    platforms: list[str]
    cpu: int
    features: list[str]
    faults: list[FaultMessage]


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """`runs` are those that this agent works on; `dead` those whose agent on this machine has ended before them."""

    agent: str
    info: EngineMessage
    runs: list[str]
    dead: list[str]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    pool: str
    cpu: float
    platforms: list[str]
    wait_s: int


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    fence: int
    status: RunStatus


class BeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    cancel: bool = False
    lease_s: float = 60


class LogAnswer(msgspec.Struct, frozen=True, kw_only=True):
    offset: int


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """ACR's ImageDescriptor. `digest` is None for an image that was not pushed, and for `scratch`."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None


class DependencyRecord(msgspec.Struct, frozen=True, kw_only=True):
    image: ImageRecord | None
    runtime_dependency: ImageRecord | None
    buildtime_dependencies: list[ImageRecord]
    git: dict[str, str]


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    fence: int
    status: RunStatus
    error: str | None
    output_images: list[ImageRecord]
    dependencies: list[DependencyRecord]
    log_size: int


class OrderRegistry(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    name: str
    login_server: str


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    username: str
    password: str


class OrderPlatform(msgspec.Struct, frozen=True, kw_only=True):
    os: str = "linux"
    architecture: str | None = None
    variant: str | None = None

    def __str__(self) -> str:
        """`linux/amd64`, in the engine's words; ACR's `x86` is `386`."""
        architecture = (self.architecture or "amd64").lower().replace("x86", "386")
        return "/".join(part for part in (self.os.lower(), architecture, (self.variant or "").lower()) if part)


class OrderSource(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["none", "upload", "git", "tarball"] = "none"
    location: str | None = None
    token: str | None = None


class Argument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    value: str | None = None
    is_secret: bool = False


class DockerBuildRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag=True):
    docker_file_path: str = "Dockerfile"
    image_names: list[str] | None = None
    is_push_enabled: bool | None = True
    no_cache: bool | None = False
    target: str | None = None
    arguments: list[Argument] | None = None


class EncodedTaskRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag=True):
    encoded_task_content: str
    encoded_values_content: str | None = None
    values: list[Argument] | None = None


class FileTaskRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag=True):
    task_file_path: str
    values_file_path: str | None = None
    values: list[Argument] | None = None


RunRequest = DockerBuildRequest | EncodedTaskRunRequest | FileTaskRunRequest


class RunOrder(msgspec.Struct, frozen=True, kw_only=True):
    run_uid: str
    run_id: str
    fence: int
    lease_s: float
    timeout_s: float
    cpu: float
    created_at: int
    registry: OrderRegistry
    platform: OrderPlatform
    source: OrderSource
    request: RunRequest
    credential: Credential | None = None
    custom_registries: dict[str, Credential] = {}
    base_images: dict[str, str] = {}
    secrets: list[str] = []
    task_name: str | None = None


class OrderHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to hand back an order that cannot be read."""

    run_uid: str
    fence: int


def list_taken(info: EngineInfo) -> list[str]:
    """Platforms whose runs are taken on: those that can be executed, and those that images can be assembled for.
    A step that would have to execute something there fails, saying what it needs.
    """
    return list(dict.fromkeys((*info.platforms, *_ASSEMBLED)))


def to_message(info: EngineInfo) -> EngineMessage:
    return EngineMessage(
        engine=info.engine,
        version=info.version,
        mode=info.mode,
        platforms=list_taken(info),
        cpu=info.cpu,
        features=list(info.features),
        faults=[FaultMessage(text=fault.text, fix=fault.fix) for fault in info.faults],
    )
