"""`darsena offline …`: maintenance of a folder whose server is stopped, by the code of a running one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darsena.cli.options import Output, Query
from darsena.local.where import open_folder

if TYPE_CHECKING:
    from darsena.local.rooms import Rooms

Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="DARSENA_DATA", help="The data folder. [default: that of the last serve]"),
]

app = typer.Typer(help="Maintenance of a folder whose server is stopped.", no_args_is_help=True)


@app.command("gc")
def gc(
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and how much.")] = False,
    grace: Annotated[
        float | None,
        typer.Option("--grace", metavar="SECONDS", min=0, help="Leave alone what is younger; marks wait so long too."),
    ] = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Remove the bytes that no manifest needs. The server must be stopped.

    \b
    Example: darsena offline gc --data ~/registry --grace 0
    """
    from darsena.api.admin_views import view_plan, view_run
    from darsena.cli.maintenance import RUN_COLUMNS, show_plan
    from darsena.cli.output import emit

    async def work(rooms: Rooms) -> Any:
        collector = rooms.maintenance.gc
        if dry_run:
            return view_plan(await collector.plan(None, grace))
        run = await collector.start(None, grace)
        while run is not None and run.status in ("Queued", "Running"):
            await collector.run_due()
            run = await collector.get(run.id)
        assert run is not None
        return view_run(run, None)

    found = _plain(_on(data, work))
    if dry_run:
        show_plan(found, output, query)
        return
    emit(found, output, query, RUN_COLUMNS)
    if found["status"] == "Failed":
        raise typer.Exit(1)


@app.command("fsck")
def fsck(
    data: Data = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove garbage, complete notes, let lost blobs be pushed again.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not read the blobs' bytes.")] = False,
    output: Output = None,
    query: Query = None,
) -> None:
    """Compare the database with the stored bytes, both ways. The server must be stopped.

    Ends with 1 when something is lost or inconsistent.

    \b
    Example: darsena offline fsck --data ~/registry --repair
    """
    import msgspec

    from darsena.api.admin import check_in_lines
    from darsena.api.admin_views import FsckRequest
    from darsena.cli.maintenance import show_findings
    from darsena.client.errors import OperationFailed

    async def work(rooms: Rooms) -> list[dict[str, Any]]:
        async def name(uid: str) -> str:
            facts = await rooms.resources.lookup.find_by_uid(uid)
            return uid if facts is None else facts.name

        request = FsckRequest(repair=repair, digests=not quick)
        return [msgspec.json.decode(line) async for line in check_in_lines(rooms.maintenance, None, request, name)]

    lines: list[dict[str, Any]] = _on(data, work)
    if lines[-1]["line"] != "end":
        raise OperationFailed(f"the check ended early: {lines[-1].get('message')}")
    show_findings([line for line in lines if line["line"] != "progress"], output, query)


@app.command("rotate-key")
def rotate_key(data: Data = None, output: Output = None, query: Query = None) -> None:
    """Make a new root key and wrap every data key by it. The server must be stopped.

    The data keys stay, and nothing is encrypted anew: with a database from before, the old root key still opens them.
    Put the new `keys/root.key` beside your next backup. Ended too soon, it is just run again.

    \b
    Example: darsena offline rotate-key --data ~/registry
    """
    from darsena.cli.output import Column, emit, key
    from darsena.storage.keyfile import RootKeyFile

    async def work(rooms: Rooms) -> dict[str, Any]:
        root_key = RootKeyFile.load(rooms.folder.root_key)
        key_id = root_key.rotate()
        wrapped = await rooms.db.transact(rooms.keyring.rewrap)
        root_key.retire()
        return {"rootKey": key_id, "dataKeys": wrapped}

    emit(_on(data, work), output, query, (Column("ROOT KEY", key("rootKey")), Column("DATA KEYS", key("dataKeys"))))


def _on(data: Path | None, work: Callable[[Rooms], Awaitable[Any]]) -> Any:
    """The rooms of the folder, opened for this alone. Raises StartFailure while a server holds it."""
    import msgspec

    from darsena.local import logs
    from darsena.local.folder import take_lock
    from darsena.local.rooms import open_rooms

    folder, _ = open_folder(data)

    async def whole() -> Any:
        rooms = open_rooms(folder.root, {})
        logs.configure(msgspec.structs.replace(rooms.settings.log, level="warning"))
        try:
            return await work(rooms)
        finally:
            await rooms.storage.close()
            rooms.db.close()

    with take_lock(folder):
        return asyncio.run(whole())


def _plain(view: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(view)
