"""From the body of `scheduleRun` to a run that may be queued. Raises RequestInvalid with the member at fault."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from darsena.core.errors import NotImplementedHere, RequestInvalid, ResourceUnknown
from darsena.tasks.locations import Location, parse_location
from darsena.tasks.model import DEFAULT_CPU, RunPlatform
from darsena.tasks.wire import ArgumentBody, CustomRegistryBody, PlatformBody, RunRequestBody, SecretBody

RequestType = Literal["DockerBuildRequest", "EncodedTaskRunRequest", "FileTaskRunRequest"]

REQUEST_KIND = "run"
"""The kind under which a stored request is sealed; its id is the run's uid."""

SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S, DEFAULT_TIMEOUT_S = 300, 28_800, 3600
_MOST_CPU = 64
_MOST_NAMES = 100
_MOST_ARGUMENTS = 500
CALLER = "[caller]"
"""As the identity that a run signs in to its registry with: whoever scheduled it."""
_OS = ("linux", "windows")
_ARCHITECTURES = ("amd64", "x86", "386", "arm", "arm64")
_VARIANTS = ("v6", "v7", "v8")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """`stored` is what the agent gets, in the wire's spelling, secrets included."""

    type: RequestType
    stored: dict[str, Any]
    platform: RunPlatform
    cpu: int
    timeout_s: int
    is_archive_enabled: bool
    source: Location
    source_registry_auth: str | None
    source_identity: str | None
    """As whom the run should sign in at its own registry."""
    custom_registries: tuple[str, ...]

    def store_for(self, caller: str) -> dict[str, Any]:
        """What is stored of a request that `caller` made, an object id."""
        if self.source_identity != CALLER:
            return self.stored
        credentials = self.stored["credentials"]
        source = {**credentials["sourceRegistry"], "caller": caller}
        return {**self.stored, "credentials": {**credentials, "sourceRegistry": source}}


def parse_request(body: RunRequestBody) -> RunRequest:
    """Raises ResourceUnknown for an agent pool or a task that is not there."""
    type_ = _parse_type(body)
    if body.agent_pool_name:
        raise ResourceUnknown(f"The agent pool '{body.agent_pool_name[:80]}' could not be found in this registry.")
    platform = parse_platform(body.platform)
    source = parse_location(body.source_location)
    cpu = _parse_cpu(body)
    timeout_s = _parse_timeout(body.timeout)
    login_mode = _parse_login_mode(body)
    custom = _parse_custom_registries(body)
    common: dict[str, Any] = {
        "type": type_,
        "isArchiveEnabled": bool(body.is_archive_enabled),
        "timeout": timeout_s,
        "platform": {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant},
        "agentConfiguration": {"cpu": cpu},
        "sourceLocation": source.text or None,
        "logTemplate": body.log_template,
        "credentials": {"sourceRegistry": {"loginMode": login_mode or "Default"}, "customRegistries": custom},
    }
    parts = {"DockerBuildRequest": _docker, "EncodedTaskRunRequest": _encoded, "FileTaskRunRequest": _file}
    return RunRequest(
        type=type_,
        stored=common | parts[type_](body),
        platform=platform,
        cpu=cpu,
        timeout_s=timeout_s,
        is_archive_enabled=bool(body.is_archive_enabled),
        source=source,
        source_registry_auth=login_mode,
        source_identity=_find_identity(body),
        custom_registries=tuple(custom),
    )


def list_secrets(stored: Mapping[str, Any]) -> list[str]:
    """Values that must not appear in the log."""
    rows = [*stored.get("arguments", ()), *stored.get("values", ())]
    secrets = [row["value"] for row in rows if row["isSecret"]]
    secrets += [login["password"] for login in stored["credentials"]["customRegistries"].values()]
    return [secret for secret in dict.fromkeys(secrets) if secret]


def parse_platform(body: PlatformBody | None) -> RunPlatform:
    if body is None or not body.os:
        raise RequestInvalid("The property 'platform.os' is required: Linux or Windows.", "platform.os")
    return RunPlatform(
        os=_choose(body.os, _OS, "platform.os"),
        architecture=_choose(body.architecture or "amd64", _ARCHITECTURES, "platform.architecture"),
        variant=_choose(body.variant, _VARIANTS, "platform.variant") if body.variant else None,
    )


# --- the three kinds --------------------------------------------------------------------------------------------


def _docker(body: RunRequestBody) -> dict[str, Any]:
    names = body.image_names or []
    if len(names) > _MOST_NAMES:
        raise RequestInvalid(f"'imageNames' has more than {_MOST_NAMES} names.", "imageNames")
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > 1024:
            raise RequestInvalid(f"The image name '{name[:80]}' in 'imageNames' is not valid.", "imageNames")
    return {
        "dockerFilePath": _path(body.docker_file_path, "dockerFilePath", required=True),
        "imageNames": [name.strip() for name in names],
        "isPushEnabled": body.is_push_enabled is not False,
        "noCache": bool(body.no_cache),
        "target": body.target or None,
        "arguments": _arguments(body.arguments, "arguments"),
    }


def _encoded(body: RunRequestBody) -> dict[str, Any]:
    if not body.encoded_task_content:
        _missing("encodedTaskContent")
    return {
        "encodedTaskContent": _base64(body.encoded_task_content, "encodedTaskContent"),
        "encodedValuesContent": _base64(body.encoded_values_content or "", "encodedValuesContent") or None,
        "values": _arguments(body.values, "values"),
    }


def _file(body: RunRequestBody) -> dict[str, Any]:
    return {
        "taskFilePath": _path(body.task_file_path, "taskFilePath", required=True),
        "valuesFilePath": _path(body.values_file_path, "valuesFilePath") or None,
        "values": _arguments(body.values, "values"),
    }


# --- members ----------------------------------------------------------------------------------------------------


def _parse_type(body: RunRequestBody) -> RequestType:
    types: tuple[RequestType, ...] = ("DockerBuildRequest", "EncodedTaskRunRequest", "FileTaskRunRequest")
    if not body.type:
        _missing("type")
    for type_ in types:
        if type_.lower() == body.type.lower():
            return type_
    if body.type.lower() == "taskrunrequest":
        if not body.task_id:
            _missing("taskId")
        raise ResourceUnknown(f"The task '{body.task_id.rpartition('/')[2][:80]}' could not be found.")
    raise RequestInvalid(
        f"The value '{body.type[:80]}' of 'type' is not valid. Possible values are: {', '.join(types)}, "
        "TaskRunRequest.",
        "type",
    )


def _parse_timeout(timeout_s: int | None) -> int:
    if timeout_s is None:
        return DEFAULT_TIMEOUT_S
    if not SHORTEST_TIMEOUT_S <= timeout_s <= LONGEST_TIMEOUT_S:
        raise RequestInvalid(
            f"The value {timeout_s} of 'timeout' is not valid: a run takes {SHORTEST_TIMEOUT_S} to "
            f"{LONGEST_TIMEOUT_S} seconds.",
            "timeout",
        )
    return timeout_s


def _parse_cpu(body: RunRequestBody) -> int:
    cpu = None if body.agent_configuration is None else body.agent_configuration.cpu
    if cpu is None:
        return DEFAULT_CPU
    if not 1 <= cpu <= _MOST_CPU:
        target = "agentConfiguration.cpu"
        raise RequestInvalid(f"The value {cpu} of '{target}' is not valid: give 1 to {_MOST_CPU} processors.", target)
    return cpu


def _parse_login_mode(body: RunRequestBody) -> str | None:
    source = None if body.credentials is None else body.credentials.source_registry
    if source is None or source.login_mode is None:
        return None
    target = "credentials.sourceRegistry.loginMode"
    return {"none": "None", "default": "Default"}[_choose(source.login_mode, ("none", "default"), target)]


def _find_identity(body: RunRequestBody) -> str | None:
    source = None if body.credentials is None else body.credentials.source_registry
    identity = "" if source is None else (source.identity or "").strip()
    return CALLER if identity.lower() == CALLER else identity or None


def _parse_custom_registries(body: RunRequestBody) -> dict[str, dict[str, str]]:
    registries = None if body.credentials is None else body.credentials.custom_registries
    found: dict[str, dict[str, str]] = {}
    for host, login in (registries or {}).items():
        if login is not None:  # null takes one away, which only a PATCH can do
            found[host.strip().lower()] = _parse_login(host, login)
    return found


def _parse_login(host: str, login: CustomRegistryBody) -> dict[str, str]:
    target = f"credentials.customRegistries.{host[:80]}"
    if not host.strip() or "/" in host or not host.isprintable():
        raise RequestInvalid(f"'{host[:80]}' is no login server: give host or host:port.", target)
    if login.user_name is None or login.password is None:
        if login.identity:
            raise NotImplementedHere(
                f"The login to '{host[:80]}' by an identity is not in this version: give userName and password."
            )
        raise RequestInvalid(f"The login to '{host[:80]}' needs both userName and password.", target)
    return {
        "username": _secret(login.user_name, f"{target}.userName"),
        "password": _secret(login.password, f"{target}.password"),
    }


def _secret(body: SecretBody, target: str) -> str:
    if body.type and _choose(body.type, ("opaque", "vaultsecret"), f"{target}.type") == "vaultsecret":
        raise NotImplementedHere(f"Secrets in a key vault are not in this version: give '{target}' as Opaque.")
    if not body.value:
        raise RequestInvalid(f"The property '{target}.value' is required.", target)
    return body.value


def _arguments(rows: Sequence[ArgumentBody] | None, target: str) -> list[dict[str, Any]]:
    rows = rows or []
    if len(rows) > _MOST_ARGUMENTS:
        raise RequestInvalid(f"'{target}' has more than {_MOST_ARGUMENTS} entries.", target)
    found: list[dict[str, Any]] = []
    for row in rows:
        if not row.name or "=" in row.name or "\0" in f"{row.name}{row.value or ''}":
            raise RequestInvalid(f"Each of '{target}' needs a name, without an equals sign.", f"{target}.name")
        found.append({"name": row.name, "value": row.value or "", "isSecret": bool(row.is_secret)})
    return found


def _path(text: str | None, target: str, *, required: bool = False) -> str:
    if not text or not text.strip():
        if required:
            _missing(target)
        return ""
    if len(text) > 4096 or "\0" in text:
        raise RequestInvalid(f"The path in '{target}' is not valid.", target)
    return text


def _base64(text: str, target: str) -> str:
    """The same text again, known to be base64 of UTF-8."""
    text = "".join(text.split())
    try:
        base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise RequestInvalid(f"The property '{target}' is not base64 of a text in UTF-8.", target) from None
    return text


def _choose(text: str, values: Sequence[str], target: str) -> str:
    """`text` in lower case when it is one of the values. Raises RequestInvalid naming them."""
    if text.lower() not in values:
        raise RequestInvalid(
            f"The value '{text[:80]}' of '{target}' is not valid. Possible values are: {', '.join(values)}.", target
        )
    return text.lower()


def _missing(member: str) -> NoReturn:
    raise RequestInvalid(f"The property '{member}' is required.", member)
