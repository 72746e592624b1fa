"""`darsena gc` and `darsena fsck`: what keeps a server's data in order; and what a repository takes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darsena.cli.exit_codes import FAILED, UsageProblem
from darsena.cli.options import Output, Query
from darsena.cli.output import Column, Format, chosen, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import human_bytes, say
from darsena.client.errors import OperationFailed
from darsena.client.shapes import Object, as_object, as_objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from darsena.client.maintenance import MaintenanceClient

RegistryFilter = Annotated[
    str | None, typer.Option("--registry", "-r", metavar="REGISTRY", help="Only this registry. [default: all]")
]
_POLL_S = 0.5
_ENDED = ("Succeeded", "Failed", "Paused")

PLAN_COLUMNS = (
    Column("WHAT", key("what")),
    Column("NUMBER", key("number")),
    Column("SIZE", lambda row: None if row.get("bytes") is None else human_bytes(row["bytes"])),
)
RUN_COLUMNS = (
    Column("RUN", key("id")),
    Column("STATUS", key("status")),
    Column("REGISTRY", lambda row: row.get("registry") or "(all)"),
    Column("BLOBS REMOVED", lambda row: _progress(row)["blobsRemoved"]),
    Column("FREED", lambda row: human_bytes(_progress(row)["bytesFreed"] + _progress(row)["orphanBytes"])),
    Column("WAITING", lambda row: _progress(row)["blobsWaiting"]),
    Column("STARTED", lambda row: str(row.get("startedAt") or "")[:19].replace("T", " ")),
)
FINDING_COLUMNS = (
    Column("SEVERITY", key("severity")),
    Column("KIND", key("kind")),
    Column("WHERE", lambda row: "/".join(filter(None, (row.get("registry"), row.get("repository"))))),
    Column("WHAT", key("subject")),
    Column("DETAIL", key("detail")),
    Column("REPAIRED", lambda row: "yes" if row.get("repaired") else "no"),
)
SIZE_COLUMNS = (
    Column("NAME", key("name")),
    Column("OWN", lambda row: human_bytes(row["ownBytes"])),
    Column("SHARED", lambda row: human_bytes(row["sharedBytes"])),
    Column("FREED IF DELETED", lambda row: human_bytes(row["freedBytes"])),
    Column("BLOBS", key("blobs")),
)


def register(app: typer.Typer) -> None:
    app.command("gc")(gc)
    app.command("fsck")(fsck)


def gc(
    registry: RegistryFilter = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and how much.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the run has ended, and show its progress.")] = False,
    grace: Annotated[
        float | None,
        typer.Option(
            "--grace",
            metavar="SECONDS",
            min=0,
            help="Leave alone what is younger; marks wait so long too. 0: a push under way may have to be repeated.",
        ),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="The newest run.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Collect nothing until --resume, across restarts.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where --pause stopped.")] = False,
    output: Output = None,
    query: Query = None,
) -> None:
    """Remove the bytes that no manifest needs, while the server works. It also does so of itself, once a day.

    \b
    Example: darsena gc --dry-run
    Example: darsena gc -r contoso --wait
    """
    if sum((dry_run, status, pause, resume)) > 1:
        raise UsageProblem("one of --dry-run, --status, --pause and --resume at a time")
    with open_session() as session:
        client = session.maintenance
        if dry_run:
            show_plan(client.plan_gc(registry, grace), output, query)
            return
        if pause:
            run = client.pause_gc()
        elif status:
            run = client.get_gc(None, registry)
        else:
            run = client.resume_gc() if resume else client.start_gc(registry, grace)
        if wait and not pause:
            run = _follow(client, int(run["id"]))
    emit(run, output, query, RUN_COLUMNS)
    if wait and run["status"] == "Failed":
        raise OperationFailed(f"the run {run['id']} of gc failed: {run.get('error')}")


def fsck(
    registry: RegistryFilter = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Remove garbage, complete notes, let lost blobs be pushed again."),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not read the blobs' bytes.")] = False,
    output: Output = None,
    query: Query = None,
) -> None:
    """Compare the database with the stored bytes, both ways, digests included, while the server works.

    Ends with 1 when something is lost or inconsistent.

    \b
    Example: darsena fsck
    Example: darsena fsck --repair -o json
    """
    with open_session() as session:
        show_findings(session.maintenance.check(registry, repair=repair, digests=not quick), output, query)


def show_findings(lines: Iterable[Object], output: Format | None, query: str | None) -> None:
    """What a check says, line by line. Ends the command with 1 when something is lost or inconsistent."""
    findings: list[Object] = []
    end: Object = {}
    for line in lines:
        if line.get("line") == "finding":
            findings.append(line)
        elif line.get("line") == "end":
            end = line
        elif sys.stderr.isatty():
            say(f"{line['blobs']} blobs, {human_bytes(line['bytes'])}, {line['manifests']} manifests: going on")
    for item in (*findings, end):
        item.pop("line", None)
    if query is None and chosen(output) is Format.TABLE:
        emit(findings, output, None, FINDING_COLUMNS)
        say(_verdict(end))
    else:
        emit(end | {"list": findings}, output, query)
    if end["verdict"] in ("inconsistent", "lost"):
        raise typer.Exit(FAILED)


def show_size(name: str, repository: str | None, output: Format | None, query: str | None) -> None:
    """Of one repository; without one, of all, and on a terminal what they make together."""
    with open_session() as session:
        if repository is not None:
            emit(session.maintenance.get_size(name, repository), output, query, SIZE_COLUMNS)
            return
        sizes = session.maintenance.get_sizes(name)
    if query is None and chosen(output) is Format.TABLE:
        emit(as_objects(sizes["repositories"]), output, None, SIZE_COLUMNS)
        say(
            f"stored {human_bytes(sizes['storedBytes'])} = in one repository {human_bytes(sizes['singleBytes'])} "
            f"+ in several {human_bytes(sizes['sharedBytes'])} + in none {human_bytes(sizes['unlinkedBytes'])}"
        )
    else:
        emit(sizes, output, query)


def show_plan(plan: Object, output: Format | None, query: str | None) -> None:
    if query is not None or chosen(output) is not Format.TABLE:
        emit(plan, output, query)
        return
    names = {
        "blobs": "blobs that nothing needs",
        "orphans": "bytes without a row",
        "leftovers": "temporary files",
        "uploads": "abandoned uploads",
        "waiting": "too young yet",
    }
    rows: list[Object] = [{"what": text, **as_object(plan[name])} for name, text in names.items()]
    rows.insert(1, {"what": "links that nothing uses", "number": plan["links"]})
    emit(rows, output, None, PLAN_COLUMNS)
    say(f"{human_bytes(plan['bytes'])} would be freed")


def _follow(client: MaintenanceClient, run_id: int) -> Object:
    told = ""
    while True:
        run = client.get_gc(run_id)
        if run["status"] in _ENDED:
            return run
        progress = _progress(run)
        text = (
            f"{progress['phase'] or run['status'].lower()}: {progress['blobsMarked']} marked, "
            f"{progress['blobsRemoved']} removed, {human_bytes(progress['bytesFreed'])} freed"
        )
        if text != told:
            say(text)
            told = text
        time.sleep(_POLL_S)


def _progress(run: Object) -> dict[str, Any]:
    return as_object(run.get("progress"))


def _verdict(end: Object) -> str:
    examined = f"{end['blobs']} blobs with {human_bytes(end['bytes'])} and {end['manifests']} manifests examined"
    if not end["findings"]:
        return f"clean: {examined}"
    return f"{end['findings']} findings, {end['repaired']} repaired; left: {end['verdict']}. {examined}"
