"""Every kind of event that the journal may hold, with its fields."""

from __future__ import annotations

import importlib

import msgspec

from darsena.journal.events import EventBody, known_kinds
from docpages.text import SOURCE, code, own_doc, table

HEAD = """\
# Journal events

Every fact that somebody outside could see is written with an event into one append-only journal, in the same
transaction ([why](../adr/0004-one-journal.md)). Kinds are `noun.past_tense`. A body may gain fields; a new meaning is a
new kind. Never journaled: upload sessions, leases, heartbeats, log lines, pulls, the issue of tokens.

An entry has its stream, its `seq` (dense in its stream), its kind, its body (JSON), who did it (`actor`), the request's
id and the time in UTC microseconds. There are two sorts of streams:

- `registry:<uid>@<region>`: repositories, manifests, tags, blobs, runs of one registry;
- `subscription:<guid>`: resource groups, registries, principals, credentials, role assignments.

Readers have cursors and see each entry at least once, in order. The first reader is usage: it keeps the size that
`darsena show-usage` shows.

"""

STREAMS = {"registry": "registry", "tasks": "registry", "resources": "subscription", "identity": "subscription"}


def render() -> str:
    parts = [HEAD]
    for room, kinds in by_room().items():
        parts.append(f"## {room} (stream: {STREAMS.get(room, room)})\n\n")
        parts.append(table(["Kind", "Fields", "Notes"], [row(kind, cls) for kind, cls in sorted(kinds.items())]) + "\n")
    return "".join(parts).rstrip("\n") + "\n"


def by_room() -> dict[str, dict[str, type[EventBody]]]:
    """Ours only: a test may declare events of its own."""
    rooms: dict[str, dict[str, type[EventBody]]] = {}
    for path in sorted(SOURCE.glob("*/events.py")):
        if path.parent.name != "journal":
            importlib.import_module(f"darsena.{path.parent.name}.events")
    for kind, cls in known_kinds().items():
        if cls.__module__.startswith("darsena."):
            rooms.setdefault(cls.__module__.split(".")[1], {})[kind] = cls
    return dict(sorted(rooms.items()))


def row(kind: str, cls: type[EventBody]) -> tuple[str, str, str]:
    fields = [code(field.name) + ("" if field.required else " (optional)") for field in msgspec.structs.fields(cls)]
    return code(kind), ", ".join(fields), own_doc(cls)
