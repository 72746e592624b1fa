"""Run variables and values, and the part of templates that this version renders: fields (tasks-engine, section 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from darsena.agent.plan import PlanFault
from darsena.agent.protocol import Argument, RunOrder

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_COMMENT = re.compile(r"\s*/\*.*\*/\s*\Z", re.DOTALL)
_FIELD = re.compile(r"\.[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"\Z|`[^`]*`\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    run: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def lookup(self, path: list[str]) -> Any:
        """A missing key is empty, as in Go's maps; `.Build` is the old name of `.Run`."""
        roots: dict[str, Mapping[str, Any]] = {"Run": self.run, "Build": self.run, "Values": self.values, "Secrets": {}}
        if path[0] not in roots:
            raise PlanFault(f"unable to render task: failed to execute template: .{path[0]} is not defined")
        found: Any = roots[path[0]]
        for name in path[1:]:
            found = cast("Mapping[str, Any]", found).get(name, "") if isinstance(found, Mapping) else ""
        return found


def run_variables(order: RunOrder, volume: str, commit: str = "", branch: str = "") -> dict[str, str]:
    started = datetime.fromtimestamp(order.created_at / 1_000_000, UTC)
    return {
        "ID": order.run_id,
        "Registry": order.registry.login_server,
        "RegistryName": order.registry.name,
        "Date": f"{started:%Y%m%d-%H%M%S}z",
        "SharedVolume": volume,
        "OS": order.platform.os.lower(),
        "OSVersion": "",
        "Architecture": (order.platform.architecture or "amd64").lower(),
        "Commit": commit,
        "Branch": branch,
        "Repository": "",
        "GitTag": "",
        "TriggeredBy": "",
        "TaskName": order.task_name or "",
    }


def merge_values(file_values: Mapping[str, Any], given: list[Argument] | None) -> dict[str, Any]:
    """Values given with the request win over the file's; the last of a name counts."""
    merged = dict(file_values)
    for argument in given or ():
        if not argument.name:
            raise PlanFault("failed to parse --set data: a value has no name")
        merged[argument.name] = argument.value or ""
    return merged


def render(text: str, variables: Variables) -> str:
    """Fields and literals only; anything else is named as not supported. Raises PlanFault with line and column."""
    parts: list[str] = []
    end = 0
    trim_next = False
    for match in _ACTION.finditer(text):
        before = text[end : match.start()]
        before = before.lstrip() if trim_next else before
        parts.append(before.rstrip() if match[1] else before)
        parts.append(_evaluate(match[2].strip(), variables, _place(text, match.start())))
        end, trim_next = match.end(), bool(match[3])
    rest = text[end:].lstrip() if trim_next else text[end:]
    if "{{" in rest:
        place = _place(text, text.index("{{", end))
        raise PlanFault(f"unable to render task: failed to parse template: {place}: unclosed action")
    return "".join([*parts, rest]).replace("<no value>", "")


def _evaluate(action: str, variables: Variables, place: str) -> str:
    if _COMMENT.match(action):
        return ""
    if _FIELD.match(action):
        value = variables.lookup(action[1:].split("."))
        return value if isinstance(value, str) else _print(value)
    if _STRING.match(action):
        return action[1:-1]
    word = action.split()[0].lstrip("(") if action.split() else ""
    raise PlanFault(
        f"unable to render task: failed to parse template: {place}: {word or 'an empty action'!r} is not supported in"
        " this version; supported are fields such as {{.Run.ID}} and {{.Values.name}}"
    )


def _print(value: Any) -> str:
    """As Go prints them, for what a values file can hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _place(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - (text.rfind(chr(10), 0, offset) + 1) + 1}"
