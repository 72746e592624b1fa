"""The command line: every command, and how each way of ending becomes an exit code."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from darsena import __version__
from darsena.cli import (
    account,
    activity,
    az,
    build,
    credentials,
    groups,
    maintenance,
    manifests,
    registries,
    repositories,
    run_task,
    runs,
    scope_maps,
    service_principals,
    tokens,
    users,
)
from darsena.cli.exit_codes import FAILED, INTERRUPTED, OK, PIPE_CLOSED, exit_code
from darsena.cli.options import gather_repositories, spread_tags
from darsena.cli.terminal import PipeClosed, harmless, say, styled, write_result
from darsena.cli.watch import Interrupted
from darsena.client.errors import ClientProblem
from darsena.core.errors import Problem

app = typer.Typer(
    name="darsena",
    help="A container registry of your own that speaks Azure Container Registry's language.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 unreachable, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        write_result(f"darsena {__version__}\n")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A container registry of your own that speaks Azure Container Registry's language."""


account.register(app)
app.add_typer(groups.app, name="group")
registries.register(app)
app.add_typer(credentials.app, name="credential")
build.register(app)
run_task.register(app)
runs.register(app)
app.add_typer(repositories.app, name="repository")
app.add_typer(manifests.app, name="manifest")
app.add_typer(scope_maps.app, name="scope-map")
app.add_typer(tokens.app, name="token")
app.add_typer(users.app, name="user")
app.add_typer(service_principals.app, name="sp")
az.register(app)
maintenance.register(app)
activity.register(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but a request to exit ever gets out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(gather_repositories(spread_tags(list(sys.argv[1:] if arguments is None else arguments))))
    except (PipeClosed, BrokenPipeError):
        # Python flushes once more at exit; there is nobody left to read it.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return PIPE_CLOSED


def _run(argv: list[str]) -> int:
    try:
        code = typer.main.get_command(app).main(args=argv, prog_name="darsena", standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        # A wrong command line; click's own exceptions can show themselves with the usage.
        show = getattr(error, "show", None)
        show() if show else say(f"Error: {error.format_message()}")
        return error.exit_code
    except (Interrupted, KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except (PipeClosed, BrokenPipeError):
        raise
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except Problem as problem:
        report(problem)
        return exit_code(problem)
    except Exception as error:
        _report_defect(error)
        return FAILED
    return code if isinstance(code, int) else OK


def report(problem: Problem) -> None:
    """What, why, what to do, and the request's id."""
    say(f"{styled('error:', 'bold', 'red')} {harmless(problem.message)}")
    if isinstance(problem, ClientProblem):
        if problem.hint:
            say(f"  {styled('try:', 'bold')} {harmless(problem.hint)}")
        if problem.request_id:
            say(f"  {styled('request id:', 'bold')} {harmless(problem.request_id)}")


def _report_defect(error: Exception) -> None:
    if os.environ.get("DARSENA_DEBUG"):
        traceback.print_exception(error)
    say(f"{styled('error:', 'bold', 'red')} a defect in darsena: {type(error).__name__}: {harmless(str(error))}")
    if not os.environ.get("DARSENA_DEBUG"):
        say(f"  {styled('try:', 'bold')} set DARSENA_DEBUG=1 and run it again to see where")
