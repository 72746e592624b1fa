"""Runs: their list, one of them, its log, and its end before time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from darsena.cli.exit_codes import FAILED, UsageProblem
from darsena.cli.images import parse_referenced
from darsena.cli.options import Group, Output, Query, RegistryName
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import human_seconds, say
from darsena.cli.watch import follow_log
from darsena.client.errors import NameUnknown
from darsena.client.run_requests import FINISHED, run_id_of, status_of
from darsena.client.shapes import Object, as_object, as_objects, flatten
from darsena.core.clock import parse_time

RunId = Annotated[str | None, typer.Argument(metavar="[RUN_ID]", help="The run, such as ca1.")]
RunIdOption = Annotated[str | None, typer.Option("--run-id", metavar="RUN_ID", help="The run, such as ca1.")]
ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="IMAGE", help="Runs that made this image: name:tag or name@digest.")
]


def _trigger(row: Object) -> str:
    source = as_object(row.get("sourceTrigger"))
    if source:
        return str(source.get("eventType") or "Source")
    return "Timer" if row.get("timerTrigger") else "Image Update" if row.get("imageUpdateTrigger") else "Manual"


def _platform(row: Object) -> str:
    return str(as_object(row.get("platform")).get("os") or "").lower()


def _seconds_between(start: Any, end: Any) -> float | None:
    try:
        return max((parse_time(str(end)) - parse_time(str(start))) / 1_000_000, 0.0)
    except ValueError:
        return None


def duration_s(row: Object) -> float | None:
    """From the run's start to its end, or to now; None when it has not started."""
    if not row.get("startTime"):
        return None
    return _seconds_between(row["startTime"], row.get("finishTime") or datetime.now(UTC).isoformat())


def _duration(row: Object) -> str:
    seconds = duration_s(row)
    return "" if seconds is None else human_seconds(seconds)


COLUMNS = (
    Column("RUN ID", key("runId")),
    Column("TASK", key("task")),
    Column("PLATFORM", _platform),
    Column("STATUS", key("status")),
    Column("TRIGGER", _trigger),
    Column("STARTED", lambda row: str(row.get("startTime") or "")[:19].replace("T", " ")),
    Column("DURATION", _duration),
    Column("IMAGES", lambda row: ", ".join(_image(image) for image in as_objects(row.get("outputImages")))),
)


def _image(image: Object) -> str:
    return f"{image.get('repository')}:{image.get('tag')}"


def register(app: typer.Typer) -> None:
    app.command("logs")(logs)
    app.command("list-runs")(list_runs)
    app.command("show-run")(show_run)
    app.command("cancel-run")(cancel_run)


def logs(
    registry: RegistryName,
    run_id: RunId = None,
    run_id_option: RunIdOption = None,
    image: ImageOption = None,
    resource_group: Group = None,
) -> None:
    """Print the log of a run, following it while it runs. The exit code is 1 when the run failed.

    Without a run id: the last run, or with --image the last one that made the image.

    \b
    Example: darsena logs -r contoso ca1
    """
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group)
        runs = session.runs(found)
        wanted = run_id or run_id_option
        if wanted is None:
            newest = runs.list(_filters(session.login_server(found.login_server), image, None), 1)
            if not newest:
                raise NameUnknown(f"{found.name} has no such run")
            wanted = run_id_of(newest[0])
            say(f"the log of the run {wanted}")
        status = follow_log(session, runs, wanted, found.name)
    if status != "Succeeded":
        raise typer.Exit(FAILED)


def list_runs(
    registry: RegistryName,
    run_status: Annotated[
        str | None, typer.Option("--run-status", metavar="STATUS", help="Queued, Running, Succeeded, Failed …")
    ] = None,
    image: ImageOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many, newest first.")] = 15,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """List the runs of a registry, newest first.

    \b
    Example: darsena list-runs -r contoso --run-status Failed -o table
    """
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group)
        filters = _filters(session.login_server(found.login_server), image, run_status)
        runs = session.runs(found).list(filters, top)
    emit([flatten(run) for run in runs], output, query, COLUMNS)


def _filters(server: Any, image: str | None, status: str | None) -> dict[str, str]:
    filters = {"Status": status} if status else {}
    if image is not None:
        named = parse_referenced(image)
        digest = named.reference
        if not named.is_digest:
            digest = str(server.get_tag(named.repository, named.reference)["digest"])
        filters["OutputImageManifests"] = f"{named.repository}@{digest}"
    return filters


def show_run(
    registry: RegistryName,
    run_id: RunId = None,
    run_id_option: RunIdOption = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Show one run.

    \b
    Example: darsena show-run -r contoso ca1 --query status -o tsv
    """
    wanted = _wanted(run_id, run_id_option)
    with open_session() as session:
        run = session.runs(session.resources.find_registry(registry, resource_group)).get(wanted)
    emit(flatten(run), output, query, COLUMNS)


def cancel_run(
    registry: RegistryName,
    run_id: RunId = None,
    run_id_option: RunIdOption = None,
    resource_group: Group = None,
) -> None:
    """Cancel a run that is queued or running.

    \b
    Example: darsena cancel-run -r contoso ca1
    """
    wanted = _wanted(run_id, run_id_option)
    with open_session() as session:
        runs = session.runs(session.resources.find_registry(registry, resource_group))
        runs.cancel(wanted)
        status = status_of(runs.get(wanted))
    say(f"the run {wanted} is {status.lower()}" if status in FINISHED else f"the run {wanted} is being canceled")


def _wanted(run_id: str | None, option: str | None) -> str:
    wanted = run_id or option
    if wanted is None:
        raise UsageProblem("the run is missing", hint="give its id, as `darsena list-runs` shows it")
    return wanted
