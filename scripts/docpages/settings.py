"""The server's settings and the other variables that Dársena reads."""

from __future__ import annotations

import ast
import inspect
from typing import Any, get_args

import msgspec

from darsena import settings
from docpages.text import code, table

HEAD = """\
# Settings

The server has one frozen settings object. Each value comes from the last of these that names it:

1. the default;
2. `darsena.toml` in the data folder, or the file that `DARSENA_CONFIG` names: `[section]` and `key = value`;
3. the environment: `DARSENA_SECTION__KEY`, two underscores in the middle;
4. the options of `darsena serve`.

An unknown setting is refused, and the message names the nearest known one. `darsena config show` prints the values in
effect, secrets masked. A change takes effect at the next start.

"""

EXAMPLE = """
## As a file

```toml
[server]
listen = "0.0.0.0:8443"

[log]
level = "warning"

[tasks]
keep_runs_days = 90

[tasks.base_images]
"mcr.microsoft.com/dotnet/aspnet" = "contoso/dotnet/aspnet"
```

In the environment a table is written as pairs, `DARSENA_TASKS__BASE_IMAGES=name=registry/repository,name=…`, and a list
with commas.

## Other variables

These start with `DARSENA_` and are no settings.

"""

VARIABLES = {
    "DARSENA_DATA": "The data folder, where `--data` is not given; the command line signs in as its owner.",
    "DARSENA_CONFIG": "The settings file, instead of `darsena.toml` in the data folder.",
    "DARSENA_PROFILE": "The profile of the command line, as stored by `darsena login --profile NAME`.",
    "DARSENA_AGENT_TOKEN": "What the build agent signs in with; `darsena serve` sets it for its own.",
    "DARSENA_SCREEN": "Not empty: `serve` shows the ready screen also where standard error is no terminal.",
    "DARSENA_DEBUG": "Not empty: a defect of the command line shows its traceback.",
    "DARSENA_CHECK_JOURNAL": "Not empty: a transaction that writes a journaled table and emits no event fails (tests).",
    "DARSENA_FAILPOINT": "`name`, `name:kill` or `name:raise`: the process ends or fails at that point; "
    "`@FILE`: at the one in that file, once (tests).",
    "DARSENA_WORKER": "Between the supervisor and its worker only.",
    "DARSENA_SUPERVISOR": "Between the supervisor and its worker only.",
    "DARSENA_FAILURE_FD": "Between the supervisor and its worker only.",
}


SELF_EVIDENT = {"log.level": "The lowest level that is written."}
"""Meanings of those that the code leaves without one."""


def render() -> str:
    missing = settings.OTHER_VARIABLES ^ VARIABLES.keys()
    if missing:
        raise LookupError(f"describe (or remove) in scripts/docpages/settings.py: {sorted(missing)}")
    rows = [(code(name), VARIABLES[name]) for name in sorted(VARIABLES)]
    return (
        HEAD
        + table(["Setting", "Environment", "Kind", "Default", "Meaning"], list_rows())
        + EXAMPLE
        + table(["Variable", "Meaning"], rows)
    )


def list_rows() -> list[tuple[str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str]] = []
    for section in msgspec.structs.fields(settings.Settings):
        meanings = docstrings(section.type)
        for field in msgspec.structs.fields(section.type):
            key = f"{section.name}.{field.name}"
            meaning = meanings.get(field.name) or SELF_EVIDENT[key]
            meaning += " Masked where it is shown." if key in settings.SECRET_KEYS else ""
            variable = f"{settings.PREFIX}{section.name}__{field.name}".upper()
            rows.append((code(key), code(variable), kind(field.type), default(field), meaning))
    return rows


def docstrings(cls: type) -> dict[str, str]:
    """The text under each field."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = inspect.cleandoc(str(ast.literal_eval(after.value)))
    return found


def kind(annotation: Any) -> str:
    if annotation.__name__ == "tuple":
        return "list of texts"
    if choices := get_args(annotation):
        return "table of texts" if annotation.__name__ == "dict" else ", ".join(code(str(choice)) for choice in choices)
    return {"str": "text", "int": "number", "bool": "true or false"}[annotation.__name__]


def default(field: Any) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(str(value)) if value not in ("", {}, ()) else "empty"
