"""What a run is asked for with, and what its resource says: plain values, no calls."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

from darsena.client.shapes import Object, as_objects, properties
from darsena.core.errors import RequestInvalid

FINISHED = frozenset({"Succeeded", "Failed", "Canceled", "Error", "Timeout"})
LOG_SUCCESS = "Succeeded"

_LOG_STATUS = {"failed": "Failed", "internalerror": "Error", "timedout": "Timeout", "canceled": "Canceled"}
"""The log's own words of completion; any other means success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every kind of run may be told."""

    platform: Object
    timeout_s: int | None = None
    agent_pool: str | None = None
    log_template: str | None = None
    source_identity: str | None = None
    """As whom the run signs in to its registry; only registries in ABAC mode ask for one."""

    def common(self, source: str | None) -> Object:
        own: Object = {} if self.source_identity is None else {"sourceRegistry": {"identity": self.source_identity}}
        body: Object = {"platform": self.platform, "credentials": own, "isArchiveEnabled": False}
        if source is not None:
            body["sourceLocation"] = source
        if self.timeout_s is not None:
            body["timeout"] = self.timeout_s
        if self.agent_pool:
            body["agentPoolName"] = self.agent_pool
        if self.log_template:
            body["logTemplate"] = self.log_template
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    name: str
    value: str
    is_secret: bool = False

    def wire(self) -> Object:
        return {"name": self.name, "value": self.value, "isSecret": self.is_secret}


def parse_platform(text: str) -> Object:
    """`os[/architecture[/variant]]`. Raise RequestInvalid."""
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise RequestInvalid(f"the platform {text!r} is not valid: write os/architecture[/variant], as in linux/amd64")
    names = ("os", "architecture", "variant")
    platform: Object = dict(zip(names, parts, strict=False))
    platform.setdefault("architecture", "amd64")
    return platform


def build_request(
    settings: Settings,
    source: str,
    dockerfile: str,
    images: Sequence[str],
    *,
    push: bool,
    no_cache: bool,
    target: str | None,
    arguments: Sequence[Argument],
) -> Object:
    body: Object = {
        "type": "DockerBuildRequest",
        **settings.common(source),
        "imageNames": list(images),
        "isPushEnabled": push,
        "noCache": no_cache,
        "dockerFilePath": dockerfile,
        "arguments": [argument.wire() for argument in arguments],
    }
    if target:
        body["target"] = target
    return body


def command_text(command: str, timeout_s: int | None) -> str:
    """The task of one step that runs `command`, as az writes it; quoted only where YAML would read something else."""
    lines = ["version: v1.1.0", "steps: ", f"  - cmd: {_scalar(command)}", "    disableWorkingDirectoryOverride: true"]
    if timeout_s is not None:
        lines.append(f"    timeout: {timeout_s}")
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    is_plain = (
        text.isprintable()
        and text == text.strip()
        and text[:1] not in "-?:,[]{}#&*!|>'\"%@`"
        and not text.endswith(":")
        and not any(mark in text for mark in (": ", " #"))
    )
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def encoded_request(settings: Settings, source: str | None, text: str, values: Sequence[Argument]) -> Object:
    return {
        "type": "EncodedTaskRunRequest",
        **settings.common(source),
        "encodedTaskContent": base64.b64encode(text.encode()).decode(),
        "values": [value.wire() for value in values],
    }


def file_request(
    settings: Settings, source: str, path: str, values_path: str | None, values: Sequence[Argument]
) -> Object:
    body: Object = {
        "type": "FileTaskRunRequest",
        **settings.common(source),
        "taskFilePath": path,
        "values": [value.wire() for value in values],
    }
    if values_path:
        body["valuesFilePath"] = values_path
    return body


def run_id_of(run: Object) -> str:
    return str(properties(run).get("runId") or run.get("name") or "")


def status_of(run: Object) -> str:
    return str(properties(run).get("status") or "")


def status_of_log(word: str) -> str:
    """The run status that a finished log tells."""
    return _LOG_STATUS.get(word.lower(), LOG_SUCCESS)


def output_images(run: Object) -> list[Object]:
    return as_objects(properties(run).get("outputImages"))
