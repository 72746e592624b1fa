"""`darsena run`: a command or a task file, run at the server, with its output here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, NoWait, Output, Query, RegistryName
from darsena.cli.output import emit
from darsena.cli.progress import Reporter
from darsena.cli.reporting import Progress, choose_reporter
from darsena.cli.run_options import (
    AgentPool,
    LogTemplate,
    NoLogs,
    Platform,
    ProgressOption,
    SourceIdentity,
    Timeout,
    finish,
    parse_arguments,
    raise_unless_succeeded,
)
from darsena.cli.runs import COLUMNS
from darsena.cli.session import open_session
from darsena.cli.sources import send_context
from darsena.cli.watch import wait_quietly, watch
from darsena.client.context import NO_CONTEXT, is_remote, task_context
from darsena.client.run_requests import (
    Argument,
    Settings,
    command_text,
    encoded_request,
    file_request,
    parse_platform,
    run_id_of,
)
from darsena.client.shapes import Object, flatten

if TYPE_CHECKING:
    from darsena.client.runs import Runs
    from darsena.client.session import Session

DEFAULT_FILE = "acb.yaml"

Command = Annotated[
    str | None, typer.Option("--cmd", metavar="COMMAND", help="An image with arguments, such as '$Registry/name:tag'.")
]
File = Annotated[
    str | None, typer.Option("--file", "-f", metavar="TASK_FILE", help="The task file in the context; - is stdin.")
]
Values = Annotated[str | None, typer.Option("--values", metavar="FILE", help="A file of values in the context.")]
SetValues = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A value; may be given several times.")
]
SetSecrets = Annotated[
    list[str] | None, typer.Option("--set-secret", metavar="KEY=VALUE", help="A value that no log or answer shows.")
]
Context = Annotated[
    str, typer.Argument(metavar="CONTEXT", help="A folder, a git URL with #ref:folder, a tar.gz URL, or /dev/null.")
]


def run(
    registry: RegistryName,
    context: Context = NO_CONTEXT,
    cmd: Command = None,
    file: File = None,
    values: Values = None,
    set_values: SetValues = None,
    set_secret: SetSecrets = None,
    platform: Platform = "linux/amd64",
    timeout: Timeout = None,
    no_wait: NoWait = False,
    no_logs: NoLogs = False,
    progress: ProgressOption = Progress.AUTO,
    agent_pool: AgentPool = None,
    log_template: LogTemplate = None,
    source_acr_auth_id: SourceIdentity = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Run a command in a container, or a task file, at the server. Its output is the result.

    \b
    Examples:
      darsena run -r contoso --cmd '$Registry/shop/web:v1' /dev/null
      darsena run -r contoso -f build.yaml --set version=1 .
    """
    if cmd is not None and file is not None:
        raise UsageProblem("give either --cmd or -f, not both")
    if cmd is None and file is None and context == NO_CONTEXT:
        raise UsageProblem(
            "without a context there is no task file to run", hint="give --cmd COMMAND, or -f - for stdin"
        )
    # The output of the run is the result, unless another form of result was asked for.
    as_result = output is None and query is None
    arguments = parse_arguments(set_values or [], set_secret or [], "--set")
    settings = Settings(
        platform=parse_platform(platform),
        timeout_s=timeout,
        agent_pool=agent_pool,
        log_template=log_template,
        source_identity=source_acr_auth_id,
    )
    reporter = choose_reporter(progress, log_is_result=as_result, live=False)
    with open_session(talk=reporter.note) as session:
        found = session.resources.find_registry(registry, resource_group)
        runs = session.runs(found)
        if cmd is not None or file == "-":
            text = command_text(cmd, timeout) if cmd is not None else sys.stdin.read()
            source = _source(session, runs, context, reporter)
            request = encoded_request(settings, source, text, arguments)
        else:
            request = _file_request(session, runs, settings, context, file, values, arguments, reporter)
        scheduled = runs.schedule(request)
        run_id = run_id_of(scheduled)
        reporter.scheduled(run_id)
        if no_wait:
            emit(flatten(scheduled), output, query, COLUMNS)
        elif no_logs:
            finish(wait_quietly(runs, run_id, found.name, reporter), found.name, output, query, COLUMNS)
        else:
            ended = watch(session, runs, run_id, found.name, reporter)
            if not as_result:
                emit(flatten(ended.run), output, query, COLUMNS)
            raise_unless_succeeded(ended.run, found.name)


def _source(session: Session, runs: Runs, context: str, reporter: Reporter) -> str | None:
    if context == NO_CONTEXT:
        return None
    return context if is_remote(context) else send_context(session, runs, task_context(context, None), reporter)


def _file_request(
    session: Session,
    runs: Runs,
    settings: Settings,
    context: str,
    file: str | None,
    values: str | None,
    arguments: list[Argument],
    reporter: Reporter,
) -> Object:
    name = file or DEFAULT_FILE
    if context == NO_CONTEXT:
        # Nothing is sent, so the text itself goes with the request.
        path = Path(name)
        if not path.is_file():
            raise UsageProblem(f"the task file {name!r} does not exist")
        return encoded_request(settings, None, path.read_text(), arguments)
    if is_remote(context):
        return file_request(settings, context, name, values, arguments)
    local = task_context(context, name)
    return file_request(settings, send_context(session, runs, local, reporter), local.file_name, values, arguments)


def register(app: typer.Typer) -> None:
    app.command("run")(run)
