"""JSON objects as the servers send them, and as az prints them. They are printed as they came: unknown fields stay."""

from __future__ import annotations

from typing import Any, cast

Object = dict[str, Any]


def as_object(value: Any) -> Object:
    """`value` when it is a JSON object, else an empty one: for reading what may be absent."""
    return cast("Object", value) if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[Object]:
    """The objects of a JSON list; none when it is no list."""
    return [as_object(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def properties(resource: Object) -> Object:
    return as_object(resource.get("properties"))


def group_of(resource_id: str) -> str:
    """The group's name out of an ARM id; empty when there is none."""
    parts = resource_id.split("/")
    lowered = [part.lower() for part in parts]
    return parts[lowered.index("resourcegroups") + 1] if "resourcegroups" in lowered[:-1] else ""


def flatten(resource: Object) -> Object:
    """A resource as az prints it: the properties beside the rest, and the group's name."""
    flat = {key: value for key, value in resource.items() if key != "properties"}
    flat.update(properties(resource))
    group = group_of(str(resource.get("id") or ""))
    if group:
        flat["resourceGroup"] = group
    return flat
