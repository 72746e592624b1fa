"""A task file's text made into a plan (tasks-engine, sections 3 to 12 and 26, in that order of processing)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from darsena.agent import aliases, yamltext
from darsena.agent.plan import Network, Plan, PlanFault, Step
from darsena.agent.taskstep import TaskDefaults, parse_environment, read_step
from darsena.agent.variables import Variables, render
from darsena.agent.yamltext import Fields

_VERSION = re.compile(r"""["']?version["']?\s*:\s*(.*?)\s*\Z""")
_TOP_KEY = re.compile(r"[^\s#:-][^:]*:(?:\s|\Z)")
_VERSIONS = ("1.0-preview-1", "v1.0.0", "v1.1.0")
_STEPS_MAX = 1000
_DEFAULT_NETWORK = "acb_default_network"
_LATER = {"secrets": "secrets of a key vault", "volumes": "secret volumes"}

ReadFile = Callable[[str], str]
"""An alias file of the source, by its path in the working directory. Raises PlanFault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _AliasSection:
    directive: str
    table: dict[str, str]
    own: dict[str, str]


def plan_task(text: str, variables: Variables, read_file: ReadFile) -> Plan:
    """Raises PlanFault; nothing has been executed then."""
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if not line.lstrip().startswith("#")]
    version = _read_version(lines)
    aliases_on = version >= "v1.1.0"
    section, body = _cut_aliases(lines)
    own: dict[str, str] = {}
    if aliases_on:
        found = _read_aliases(section, variables, read_file)
        body = aliases.replace_aliases(body, found.table, found.directive)
        own = {name: render(value, variables) for name, value in found.own.items()}
    rendered = render(body, variables)
    if not rendered.strip():
        raise PlanFault("unable to render task: the result is empty")
    plan = _read_task(rendered, own if aliases_on else None)
    hint = _hint_missing_version(lines, text)
    return Plan(steps=plan.steps, networks=plan.networks, aliases_on=aliases_on, warnings=(*plan.warnings, *hint))


def _read_version(lines: list[str]) -> str:
    for line in lines:
        match = _VERSION.match(line)
        if match:
            version = match[1].strip("\"'").strip()
            if version.lower() not in _VERSIONS:
                raise PlanFault(f'invalid version specified: "{version}", the current version is "v1.0.0"')
            return version.lower()
    return "v1.0.0"


def _hint_missing_version(lines: list[str], text: str) -> list[str]:
    if any(_VERSION.match(line) for line in lines) or not re.search(r"\$(?:Registry|ID|SharedVolume|Date)\b", text):
        return []
    return ["The file has no version: aliases such as $Registry are replaced from version v1.1.0 on."]


def _cut_aliases(lines: list[str]) -> tuple[str, str]:
    """The `alias:` section by its lines, and the rest."""
    section: list[str] = []
    rest: list[str] = []
    inside = False
    for line in lines:
        if _TOP_KEY.match(line):
            inside = line.startswith("alias:")
        (section if inside else rest).append(line)
    return "\n".join(section), "\n".join(rest)


def _read_aliases(section: str, variables: Variables, read_file: ReadFile) -> _AliasSection:
    if not section.strip():
        return _AliasSection(directive="$", table=aliases.alias_table({}), own={})
    loaded = yamltext.load(render(section, variables), "aliases")
    fields = Fields(loaded["alias"] or {}, "alias")
    directive = fields.text("directive")
    own: dict[str, str] = {}
    for source in fields.texts("src") or []:
        if "://" in source:
            raise PlanFault(f"the alias source {source} is remote: this version reads files of the source only")
        own |= _flat(yamltext.load(read_file(source), f"the alias file {source}"), source)
    own |= _flat(fields.raw("values") or {}, "alias values")
    return _AliasSection(
        directive="$" if directive is None else aliases.check_directive(directive),
        table=aliases.alias_table(own),
        own=own,
    )


def _flat(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise PlanFault(f"{where}: aliases are a map of names and texts")
    items = cast("Mapping[Any, Any]", value)
    if any(not isinstance(item, str) for item in items.values()):
        raise PlanFault(f"{where}: an alias's value is a text")
    return {str(name): str(item) for name, item in items.items()}


def _read_task(text: str, image_aliases: Mapping[str, str] | None) -> Plan:
    task = Fields(yamltext.load(text, "task"), "the task")
    for key in ("version", "alias"):
        task.raw(key)
    for key, what in _LATER.items():
        if task.raw(key):
            raise PlanFault(f"{key} ({what}) are not supported in this version")
    networks = _read_networks(task)
    defaults = TaskDefaults(
        timeout_s=_positive(task.number("stepTimeout")),
        working_directory=task.text("workingDirectory") or "",
        environment=_split_environment(task.texts("env")),
        network=next((network.name for network in reversed(networks) if network.is_default), None),
        networks=frozenset(network.name for network in networks),
        image_aliases=image_aliases,
    )
    fields = task.maps("steps")
    if not fields:
        raise PlanFault("no steps defined")
    if len(fields) > _STEPS_MAX:
        raise PlanFault(f"a task has at most {_STEPS_MAX} steps, not {len(fields)}")
    steps: list[Step] = []
    warnings = [f"unknown key ignored: {key}" for key in task.unknown()]
    ids: list[str] = [str(item.text("id") or f"acb_step_{index}") for index, item in enumerate(fields)]
    for index, item in enumerate(fields):
        step, ignored = read_step(item, index, ids, defaults)
        steps.append(step)
        warnings += [f"step {step.id}: {text}" for text in ignored]
    return Plan(steps=tuple(steps), networks=networks, warnings=tuple(warnings))


def _read_networks(task: Fields) -> tuple[Network, ...]:
    if "networks" not in task:
        return (Network(name=_DEFAULT_NETWORK, is_default=True),)
    found: list[Network] = []
    for item in task.maps("networks"):
        name = item.text("name")
        if not name or not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name):
            raise PlanFault(f"failed to create network: {name or ''}: the name is empty or not well formed")
        driver = item.text("driver") or "bridge"
        if driver not in ("bridge", "nat"):
            raise PlanFault(f"failed to create network: {name}: the driver {driver!r} is not supported")
        item.flag("ipv6")
        found.append(
            Network(name=name, driver=driver, create=not item.flag("skipCreation"), is_default=item.flag("isDefault"))
        )
    return tuple(found)


def _split_environment(entries: list[str] | None) -> dict[str, str]:
    """The task's own entries are split at commas."""
    return parse_environment([part for entry in entries or [] for part in entry.split(",")], "task")


def _positive(number: int | None) -> float | None:
    return float(number) if number is not None and number > 0 else None
