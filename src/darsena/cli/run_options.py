"""The options that `build` and `run` share, and what comes of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.output import emit
from darsena.cli.reporting import Progress
from darsena.client.errors import OperationFailed
from darsena.client.run_requests import Argument, run_id_of, status_of
from darsena.client.shapes import Object, flatten, properties

Platform = Annotated[
    str, typer.Option("--platform", metavar="OS/ARCH[/VARIANT]", help="The platform that the run is for.")
]
Timeout = Annotated[
    int | None, typer.Option("--timeout", metavar="SECONDS", min=1, help="The run's time limit; 3600 by default.")
]
NoLogs = Annotated[bool, typer.Option("--no-logs", help="Wait for the end without showing the log.")]
ProgressOption = Annotated[
    Progress, typer.Option("--progress", case_sensitive=False, help="How the work is shown on standard error.")
]
AgentPool = Annotated[
    str | None, typer.Option("--agent-pool", metavar="POOL", help="The agent pool that the run goes to.")
]
LogTemplate = Annotated[
    str | None, typer.Option("--log-template", metavar="REPOSITORY:TAG", help="Where the log is kept as an artifact.")
]

SourceIdentity = Annotated[
    str | None,
    typer.Option(
        "--source-acr-auth-id",
        metavar="IDENTITY",
        help="As whom the run signs in to a registry in ABAC mode; [caller] is you.",
    ),
]


def parse_arguments(plain: Iterable[str], secret: Iterable[str], option: str) -> list[Argument]:
    """`KEY=VALUE`, or `KEY` alone for that environment variable's value; an unset one is left out, as docker does."""
    arguments: list[Argument] = []
    for texts, is_secret in ((plain, False), (secret, True)):
        for text in texts:
            name, equals, value = text.partition("=")
            if not name:
                raise UsageProblem(f"{option} {text!r} has no name", hint="write KEY=VALUE")
            found = value if equals else os.environ.get(name)
            if found is not None:
                arguments.append(Argument(name=name, value=found, is_secret=is_secret))
    return arguments


def raise_unless_succeeded(run: Object, registry: str) -> None:
    """Raise OperationFailed, saying how the run ended and where the reason is."""
    status = status_of(run)
    if status == "Succeeded":
        return
    run_id = run_id_of(run)
    words = {"Canceled": "was canceled", "Timeout": "ran out of time", "Error": "was ended by a fault of the service"}
    why = properties(run).get("runErrorMessage")
    raise OperationFailed(
        f"the run {run_id} {words.get(status, 'failed')}" + (f": {why}" if why else ""),
        hint=f"read its log with `darsena logs -r {registry} {run_id}`",
    )


def finish(run: Object, registry: str, output: Any, query: str | None, columns: Any) -> None:
    """Print the run and end as it ended."""
    emit(flatten(run), output, query, columns)
    raise_unless_succeeded(run, registry)
