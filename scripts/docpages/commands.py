"""The command line: every command with its options, and the exit codes."""

from __future__ import annotations

import contextlib
import copy
import enum
import inspect
import io
import os
from collections.abc import Iterator
from typing import Any

import typer

from darsena.cli.app import app
from darsena.cli.exit_codes import MEANINGS
from docpages.text import code, table

HIDDEN = {"--install-completion", "--show-completion", "--help"}

HEAD = """\
# Commands

`darsena` has the grammar of `az acr` without the `acr`. Results go to standard output, all else to standard error.
The result is a table on a terminal and JSON elsewhere, unless `-o table|json|yaml|tsv|none` says otherwise; `--query`
takes [JMESPath](https://jmespath.org). `NO_COLOR` is obeyed. The [exit codes](exit-codes.md) are stable. Registries are
named by their name or their login server; `-n` and `-r` mean the same there. `-h` shows each command's help.

`darsena --install-completion` installs completion for bash, zsh or fish.

Who you are: the profile that `DARSENA_PROFILE` names, else the one that `darsena login` stored, else, on the machine
where the server runs, the owner of `$DARSENA_DATA` or of the last `darsena serve` of this user. In the last case the
command says so on standard error.

"""

AGENT = """\
### `darsena agent`

The build agent's process. `darsena serve` starts one; starting it by hand is for an agent beside the server. It reads
the agent's token from the environment variable `DARSENA_AGENT_TOKEN`, and ends with exit code 2 when it is started
wrongly.

"""

EXIT_CODES = """\
# Exit codes

Every command of `darsena` ends with one of these. They are stable: scripts may tell outcomes apart by them.

"""

EXIT_NOTES = """
`darsena run`, `darsena build` and `darsena logs` end with 1 when the run did not succeed. `darsena doctor` ends with 1
when it found a fault, with 0 when it found notes only. `darsena serve` ends with 0 after SIGTERM, SIGINT or Ctrl-C, and
with 2 when the server cannot start, as the other commands on a data folder do when they cannot (it is in use, say); the
reason stands on standard error.
"""


def render() -> str:
    commands = list(walk())
    parts = [HEAD]
    parts.append(
        table(["Command", "Does"], [(f"[`{name}`](#{anchor(name)})", first_line(one)) for name, one in commands])
    )
    parts.append("\n")
    parts += [describe(name, one) for name, one in commands]
    parts.append(AGENT + f"```text\n{agent_help()}```\n")
    return "".join(parts)


def render_exit_codes() -> str:
    return (
        EXIT_CODES + table(["Code", "Means"], [(f"`{number}`", text) for number, text in MEANINGS.items()]) + EXIT_NOTES
    )


def walk() -> Iterator[tuple[str, Any]]:
    """(full name, command) of every command, local ones too, in the order of their names."""
    from darsena.local import commands as local

    whole = copy.copy(app)  # registering the local commands must not change the one that others use
    whole.registered_commands = [*app.registered_commands]
    whole.registered_groups = [*app.registered_groups]
    local.register(whole)
    yield from sorted(_walk("darsena", typer.main.get_command(whole)), key=lambda pair: pair[0])


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner: dict[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for key, one in inner.items():
        yield from _walk(f"{name} {key}", one)


def describe(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    prose, _, examples = text.partition("\b\n")
    if not examples and "\n\nExample: " in prose:
        prose, _, examples = prose.partition("\n\nExample: ")
    lines = [f"### `{name}`\n\n{prose.strip()}\n\n"]
    if examples:
        listed = [line.strip() for line in examples.strip().removeprefix("Examples:").splitlines() if line.strip()]
        lines.append("```sh\n" + "".join(f"{line.removeprefix('Example: ')}\n" for line in listed) + "```\n\n")
    lines.append(table(["Option", "", "Default"], [parameter(one) for one in command.params if is_shown(one)]) + "\n")
    return "".join(lines)


def is_shown(one: Any) -> bool:
    return not one.hidden and not HIDDEN & set(one.opts)


def parameter(one: Any) -> tuple[str, str, str]:
    names = [one.metavar.strip("[]")] if one.param_type_name == "argument" else one.opts
    shown = ", ".join(code(name) for name in names)
    if one.param_type_name == "option" and not one.is_flag:
        shown += f" {placeholder(one)}"
    help_ = one.help or ""
    if one.multiple and "several" not in help_ and "repeatable" not in help_:
        help_ += " May be repeated."
    return shown, help_, "required" if one.required else default(one)


def placeholder(one: Any) -> str:
    if one.metavar:
        return str(one.metavar)
    annotation = one.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "|".join(str(member.value) for member in annotation)
    return {"int": "NUMBER", "Path": "FOLDER"}.get(getattr(annotation, "__name__", ""), "TEXT")


def default(one: Any) -> str:
    value = one.default.value if isinstance(one.default, enum.Enum) else one.default
    return "" if value in (None, False) else code(str(value))


def agent_help() -> str:
    """As argparse prints it at one width."""
    from darsena.agent.settings import parse_settings

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "110"
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            parse_settings(["--help"], {})
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return printed.getvalue()


def first_line(command: Any) -> str:
    return inspect.cleandoc(command.help or "").partition("\n")[0]


def anchor(name: str) -> str:
    return name.replace(" ", "-")
