"""One step of a task file, checked (tasks-engine, sections 7 to 11 and 26)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from darsena.agent import aliases
from darsena.agent.buildoptions import parse_build
from darsena.agent.plan import RETRY_DELAY_S, STEP_TIMEOUT_S, BuildAction, CmdAction, PlanFault, PushAction, Step
from darsena.agent.quick import with_tag
from darsena.agent.words import split_words
from darsena.agent.yamltext import Fields

_ROOT = "acb_root"
_NOW = "-"
_REFUSED = {
    "privileged": "privileged containers are refused",
    "ports": "publishing ports is refused: other steps reach the container by its id",
    "volumeMounts": "secret volumes are not supported in this version",
    "volumeMount": "secret volumes are not supported in this version",
    "exitedWith": "exitedWith is not supported in this version",
    "exitedWithout": "exitedWithout is not supported in this version",
}
_NO_EFFECT = ("expose", "isolation", "secret", "cmdDownloadRetries", "cmdDownloadRetryDelay")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefaults:
    timeout_s: float | None
    working_directory: str
    environment: Mapping[str, str]
    network: str | None
    networks: frozenset[str]
    image_aliases: Mapping[str, str] | None
    """None = aliases are off."""


def read_step(fields: Fields, index: int, ids: list[str], defaults: TaskDefaults) -> tuple[Step, list[str]]:
    """The step, and what of it has no effect. `ids` are those of all steps, in file order."""
    step_id = _check_id(ids, index)
    _check_when(fields.texts("when") or [], ids, index)
    _refuse(fields, step_id)
    environment = {**defaults.environment, **parse_environment(fields.texts("env") or [], "step")}
    network = fields.text("network")
    action, named_network = _read_action(fields, step_id, environment, defaults)
    network = _choose_network(named_network or network, defaults)
    delay = fields.number("retryDelay") or fields.number("retryDelayInSeconds") or 0
    timeout = fields.number("timeout") or 0
    step = Step(
        id=step_id,
        action=action,
        timeout_s=float(timeout) if timeout > 0 else defaults.timeout_s or STEP_TIMEOUT_S,
        start_delay_s=max(0, fields.number("startDelay") or 0),
        retries=_not_negative(fields, "retries"),
        retry_delay_s=float(delay) if delay > 0 else RETRY_DELAY_S,
        retry_on_errors=tuple(fields.texts("retryOnErrors") or ()),
        repeat=_not_negative(fields, "repeat"),
        ignore_errors=fields.flag("ignoreErrors"),
        keep=fields.flag("keep"),
        user=fields.text("user"),
        environment=environment,
        working_directory=fields.text("workingDirectory") or defaults.working_directory,
        override_working_directory=not fields.flag("disableWorkingDirectoryOverride"),
        network=network,
        cpus=fields.text("cpus"),
    )
    notes = [f"{key} has no effect" for key in _NO_EFFECT if fields.raw(key) is not None]
    notes += _check_cache(fields)
    return step, notes + [f"unknown key ignored: {key}" for key in fields.unknown()]


def parse_environment(entries: list[str], whose: str) -> dict[str, str]:
    """`K=V`; quotes around blanks are taken off as a shell would."""
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        name = name.strip()
        if not equals or not name or any(character.isspace() for character in name):
            raise PlanFault(f"cannot parse {whose} environment variable {entry} correctly")
        stripped = value.strip()
        quoted = len(stripped) >= 2 and stripped[0] == stripped[-1] and stripped[0] in "\"'"
        found[name] = stripped[1:-1] if quoted else value
    return found


def _check_id(ids: list[str], index: int) -> str:
    step_id = ids[index]
    if any(character.isspace() for character in step_id):
        raise PlanFault(f"step ID cannot contain spaces: {step_id!r}")
    if step_id == _ROOT:
        raise PlanFault(f"{_ROOT} is a reserved ID")
    if step_id in ids[:index]:
        raise PlanFault(f"{step_id} already exists as a vertex")
    return step_id


def _check_when(when: list[str], ids: list[str], index: int) -> None:
    """A parent stands above: so the order of the file is a valid order of execution."""
    own = ids[index]
    if _NOW in when and len(when) > 1:
        raise PlanFault("step cannot contain other IDs in when if the immediate execution token is specified")
    for parent in when:
        if parent == own:
            raise PlanFault(f"Step ID: {own} is self-referenced")
        if parent != _NOW and parent not in ids[:index]:
            reason = " (it is defined later)" if parent in ids else ""
            raise PlanFault(f"{parent} does not exist as a vertex [from: {parent}, to: {own}]{reason}")


def _refuse(fields: Fields, step_id: str) -> None:
    for key, reason in _REFUSED.items():
        value = fields.raw(key)
        if value and str(value).lower() not in ("false", "no", "off"):
            raise PlanFault(f"step {step_id}: {key}: {reason}")


def _read_action(
    fields: Fields, step_id: str, environment: Mapping[str, str], defaults: TaskDefaults
) -> tuple[CmdAction | BuildAction | PushAction, str | None]:
    present = [key for key in ("cmd", "build", "push") if fields.raw(key) is not None]
    if not present:
        raise PlanFault(f"step is missing a cmd, build, or push property (step {step_id})")
    if len(present) > 1:
        raise PlanFault(f"step must only contain a single build, cmd, or push property (step {step_id})")
    if present[0] == "push":
        images = [with_tag(image) for image in fields.texts("push") or []]
        return PushAction(images=tuple(dict.fromkeys(images))), None
    if present[0] == "build":
        return parse_build(split_words(fields.text("build") or "", environment), environment)
    return _read_cmd(fields, step_id, environment, defaults), None


def _read_cmd(fields: Fields, step_id: str, environment: Mapping[str, str], defaults: TaskDefaults) -> CmdAction:
    words = split_words((fields.text("cmd") or "").strip(), environment)
    if not words:
        raise PlanFault(f"step is missing a cmd, build, or push property (step {step_id}: cmd is empty)")
    if words[0].startswith("-"):
        raise PlanFault(f"step {step_id}: {words[0]}: options before the image are not supported; use the step's keys")
    if words[0] == "docker":
        raise PlanFault(
            f"step {step_id}: docker needs the engine's socket, which steps do not get (tasks.engine_socket)"
        )
    image = words[0]
    if defaults.image_aliases is not None:
        image = aliases.expand_image(image, defaults.image_aliases)
    return CmdAction(
        image=image,
        arguments=tuple(words[1:]),
        entry_point=fields.text("entryPoint"),
        detach=fields.flag("detach"),
        pull=fields.flag("pull"),
    )


def _choose_network(name: str | None, defaults: TaskDefaults) -> str | None:
    if name is None:
        return defaults.network
    if name == "host":
        raise PlanFault("the network host is refused")
    if name not in ("none", "default") and name not in defaults.networks:
        raise PlanFault(f"failed to create network: {name} is not one of the task's networks")
    return name


def _check_cache(fields: Fields) -> list[str]:
    cache = fields.text("cache")
    if cache not in (None, "enabled", "disabled"):
        raise PlanFault(f"invalid value for cache property: {cache}")
    return ["the registry's layer cache is not used in this version"] if cache == "enabled" else []


def _not_negative(fields: Fields, key: str) -> int:
    number = fields.number(key) or 0
    if number < 0:
        raise PlanFault(f"step must specify {key} >= 0")
    return number
