"""The server's log: its form, its settings, every event."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from docpages.text import calls, code, codes, constant, modules, table

HEAD = """\
# Log

The server, its supervisor and its build agent write to standard error, one line for each fact. `log.format` chooses the
form: `json` (one object a line), `text`, or `auto`: text on a terminal, JSON elsewhere. `log.level` is the lowest level
that is written. The event is a constant phrase; everything that varies is a field beside it.

```json
{"method": "PUT", "host": "localhost:8443", "path": "/subscriptions/…/registries/contoso", "status": 201, \
"took_ms": 6.7, "correlation_id": "dd43d6ae-…", "event": "request", "level": "info", \
"timestamp": "2026-11-24T12:42:39.617482Z"}
```

| Field | Of |
| --- | --- |
| `event` | every line |
| `level`, `timestamp` (ISO 8601, UTC) | every line but the supervisor's |
| `correlation_id` | lines about a request: the id that the answer carried too |
| `exception` | lines about a defect: the traceback |

`log.requests` chooses which requests get a `request` line: `all`, `changes` (those that change something or fail; no
reads, no sign-ins), `none`. With `all`, pulls leave the hot path and are slower. The query of a URL is never logged: it
may hold a signature.

Secrets do not reach the log. Values under names such as `password`, `token` or `authorization` are replaced by `***`,
and so is whatever looks like a bearer token, a signature or a secret within a text.

The log is for operators. Programs read the [journal](events.md) instead. The log of a run is something else: it belongs
to the run, and `darsena logs` shows it.

## Events

"""


def render() -> str:
    rows = [(code(event), level, codes(fields), code(place)) for event, level, fields, place in list_events()]
    return HEAD + table(["Event", "Level", "Fields", "Written in"], rows)


def list_events() -> list[tuple[str, str, list[str], str]]:
    """(event, level, fields, module), once for each event of a module."""
    found: dict[tuple[str, str], tuple[str, set[str]]] = {}
    for path, tree in modules():
        for call in calls(tree):
            level, name = _level(call), constant(call.args[0]) if call.args else None
            if level and name and name.replace("_", "").isalnum() and " " not in name:
                fields = found.setdefault((name, path), (level, set()))[1]
                fields |= set(_fields(call))
    return [(event, level, sorted(fields), path) for (event, path), (level, fields) in sorted(found.items())]


def _fields(call: ast.Call) -> Iterator[str]:
    for given in call.keywords:
        if given.arg is not None:
            yield given.arg


def _level(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name | ast.Attribute):
        owner = call.func.value.id if isinstance(call.func.value, ast.Name) else call.func.value.attr
        if owner == "_log" and call.func.attr in ("debug", "info", "warning", "error", "exception", "critical"):
            return "error" if call.func.attr == "exception" else call.func.attr
    return "info" if isinstance(call.func, ast.Name) and call.func.id == "_log" else ""
