"""YAML read the way the task file's types want it: every scalar is text until a field asks for a number or a boolean.

(A plain loader makes `id: 1` a number, `on` a boolean and `12:30` a sexagesimal.)
"""

from __future__ import annotations

from typing import Any, cast

import yaml

from darsena.agent.plan import PlanFault

_TEXT_MAX = 1024 * 1024
_ANCHORS_MAX = 100
_DEPTH_MAX = 50
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


class QuotedText(str):
    """A scalar written in quotes or as a block: it is text, and neither a number nor nothing."""

    __slots__ = ()


class _Loader(yaml.CSafeLoader):
    """All plain scalars are text; the merge key `<<` stays."""


def _construct(loader: _Loader, node: yaml.nodes.ScalarNode) -> str:
    text: str = loader.construct_scalar(node)  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
    return QuotedText(text) if node.style else text


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] == "tag:yaml.org,2002:merge"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:str", _construct)


def load(text: str, what: str) -> Any:
    """Maps, lists and text. Raises PlanFault with the line; also for a text beyond the limits."""
    if len(text) > _TEXT_MAX:
        raise PlanFault(f"failed to deserialize {what} and validate: it is larger than 1 MiB")
    try:
        _check_shape(text)
        return yaml.load(text, _Loader)  # noqa: S506 - a CSafeLoader that makes text only
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 0
        raise PlanFault(f"failed to deserialize {what} and validate: line {line}: {e.problem or e.context}") from e
    except (yaml.YAMLError, RecursionError, ValueError) as e:
        raise PlanFault(f"failed to deserialize {what} and validate: {e}") from e


def _check_shape(text: str) -> None:
    depth = anchors = aliases = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        anchors += isinstance(event, yaml.NodeEvent) and event.anchor is not None
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > _DEPTH_MAX or anchors > _ANCHORS_MAX or aliases > _ANCHORS_MAX:
            raise ValueError("too many levels, anchors or references")


class Fields:
    """A map of the file with typed access. Which keys were asked for is remembered, so that the rest can be named."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise PlanFault(f"failed to deserialize task and validate: {where} is not a map")
        self._map: dict[str, Any] = {str(key): item for key, item in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        self._where = where
        self._asked: set[str] = set()

    def raw(self, key: str) -> Any:
        """None when it is absent or null."""
        self._asked.add(key)
        value = self._map.get(key)
        return None if isinstance(value, str) and not isinstance(value, QuotedText) and value in _NULL else value

    def text(self, key: str) -> str | None:
        value = self.raw(key)
        if value is None or isinstance(value, str):
            return None if value is None else str(value)
        raise self._wrong(key, "text")

    def number(self, key: str) -> int | None:
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, str) and not isinstance(value, QuotedText):
            try:
                return int(value, 0 if value.lower().startswith(("0x", "0o", "0b")) else 10)
            except ValueError:
                pass
        raise self._wrong(key, "a whole number")

    def flag(self, key: str) -> bool:
        value = self.raw(key)
        if value is None:
            return False
        if isinstance(value, str) and not isinstance(value, QuotedText) and value in _TRUE | _FALSE:
            return value in _TRUE
        raise self._wrong(key, "true or false")

    def texts(self, key: str) -> list[str] | None:
        """A list of text; a single text counts as a list of one."""
        value = self.raw(key)
        if value is None:
            return None
        items: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
        if any(not isinstance(item, str) for item in items):
            raise self._wrong(key, "a list of text")
        return [str(item) for item in items]

    def maps(self, key: str) -> list[Fields]:
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        items = cast("list[Any]", value)
        return [Fields(item, f"{key}[{index}]") for index, item in enumerate(items)]

    def __contains__(self, key: str) -> bool:
        return key in self._map

    def unknown(self) -> list[str]:
        return sorted(set(self._map) - self._asked)

    def _wrong(self, key: str, wanted: str) -> PlanFault:
        return PlanFault(
            f"failed to deserialize task and validate: {self._where}: {key} must be {wanted}, not {self._map[key]!r}"
        )
