"""Commands that work on this machine rather than over HTTP: serve, trust, doctor, config show, owner reset."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from darsena.cli.terminal import say, write_result
from darsena.local import offline
from darsena.local.where import DEFAULT_DATA, data_folder, open_folder, served_folder

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="DARSENA_DATA", help=f"The data folder. [default: {DEFAULT_DATA}]", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    app.command("serve", rich_help_panel=None)(serve)
    app.command("trust")(trust)
    app.command("doctor")(doctor)
    config = typer.Typer(help="The server's settings.", no_args_is_help=True)
    config.command("show")(config_show)
    app.add_typer(config, name="config")
    owner = typer.Typer(help="The owner of the data folder.", no_args_is_help=True)
    owner.command("reset")(owner_reset)
    app.add_typer(owner, name="owner")
    app.add_typer(offline.app, name="offline")


def serve(
    data: Data = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", help="HOST:PORT. The port is fixed when the folder is made. [default: 127.0.0.1:8443]"
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Your own domain: the control host, with registries below it.")
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="No TLS, links say http: for this machine and for tests.")
    ] = False,
    no_build: Annotated[bool, typer.Option("--no-build", help="Start no build agent.")] = False,
    log_level: Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")] = None,
) -> None:
    """Run the registry: one service on one port with TLS, its data in one folder.

    Example: darsena serve --data ~/registry
    """
    flags: dict[str, Any] = {
        "server.listen": listen,
        "server.domain": domain,
        "server.tls": "off" if plain_http else None,
        "build.enabled": False if no_build else None,
        "log.level": log_level,
    }
    order = {"data": str(data_folder(data)), "flags": {key: value for key, value in flags.items() if value is not None}}
    # A fresh process image: the supervisor keeps nothing of what reading a command line needs.
    os.execv(sys.executable, [sys.executable, "-m", "darsena.local.serve", json.dumps(order)])  # noqa: S606


def trust(
    data: Data = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back everything that trust has changed.")] = False,
    registry: Annotated[
        list[str] | None, typer.Option("--registry", "-r", help="Also this registry (repeatable); known ones always.")
    ] = None,
) -> None:
    """Make the names resolve here, and the CA known to podman, docker, containerd and the system.

    Example: darsena trust
    """
    from darsena.local.trust import list_labels, make_trust

    folder, marker = open_folder(data)
    tool = make_trust(marker.addresses, folder.ca_file, marker.stamp_uid)
    lines = tool.undo() if undo else tool.apply([*(registry or []), *list_labels(folder)])
    for line in lines or ["nothing to change: it is as it should be"]:
        say(line)
    if os.geteuid() != 0 and not undo:
        say("not root: only your own podman, buildah and skopeo were changed. `sudo darsena trust` does the rest")


def doctor(
    data: Data = None, output: Annotated[str, typer.Option("-o", "--output", help="table or json")] = ""
) -> None:
    """Look at this machine: engine, names, certificates, folder. Says what is wrong and what to do."""
    from darsena.local.doctor import examine, render

    findings = examine(served_folder(data))
    as_json = output == "json" or (not output and not sys.stdout.isatty())
    text = json.dumps([finding.as_dict() for finding in findings], indent=2) if as_json else render(findings)
    write_result(text + "\n")
    raise typer.Exit(1 if any(finding.level == "fault" for finding in findings) else 0)


def config_show(
    data: Data = None, output: Annotated[str, typer.Option("-o", "--output", help="table or json")] = ""
) -> None:
    """The effective settings of a server on this folder, secrets masked."""
    from darsena import settings

    values = settings.describe(settings.from_environment(served_folder(data)))
    if output == "json" or (not output and not sys.stdout.isatty()):
        write_result(json.dumps(values, indent=2) + "\n")
        return
    width = max(len(key) for key in values)
    for key, value in values.items():
        write_result(f"{key:<{width}}  {value if value != '' else '(default)'}\n")


def owner_reset(data: Data = None) -> None:
    """Give the owner a new secret and write owner.json again. The server must be stopped."""
    import asyncio

    from darsena.local.folder import take_lock
    from darsena.local.owner import rewrite_owner_file
    from darsena.local.rooms import open_rooms

    folder, marker = open_folder(data)
    with take_lock(folder):
        rooms = open_rooms(folder.root, {})
        asyncio.run(rewrite_owner_file(rooms.identity.owner, folder, marker, rooms.stamp))
        rooms.db.close()
    say(f"the owner has a new secret: {folder.owner}")
