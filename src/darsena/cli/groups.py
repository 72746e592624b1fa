"""`darsena group`: resource groups, which hold registries."""

from __future__ import annotations

from typing import Annotated

import typer

from darsena.cli.options import DEFAULT_LOCATION, Location, NoWait, Output, Query, Tags, Yes, parse_tags
from darsena.cli.output import Column, Format, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import confirm
from darsena.client.shapes import properties
from darsena.core.names import GroupName

app = typer.Typer(help="Resource groups, which hold registries.", no_args_is_help=True)

Name = Annotated[
    str, typer.Option("--name", "-n", "--resource-group", "-g", metavar="GROUP", help="The resource group's name.")
]
COLUMNS = (
    Column("Name", key("name")),
    Column("Location", key("location")),
    Column("Status", lambda row: properties(row).get("provisioningState")),
)


@app.command("create")
def create(
    name: Name, location: Location = None, tags: Tags = None, output: Output = None, query: Query = None
) -> None:
    """Make a group, or change the tags of one that exists.

    \b
    Example: darsena group create -n shop -l westeurope
    """
    group = GroupName.parse(name)
    with open_session() as session:
        made = session.resources.put_group(group, location or DEFAULT_LOCATION, parse_tags(tags))
    emit(made, output, query, COLUMNS)


@app.command("list")
def list_(output: Output = None, query: Query = None) -> None:
    """List the groups.

    \b
    Example: darsena group list -o tsv --query '[].name'
    """
    with open_session() as session:
        emit(session.resources.list_groups(), output, query, COLUMNS)


@app.command("show")
def show(name: Name, output: Output = None, query: Query = None) -> None:
    """Show one group.

    \b
    Example: darsena group show -n shop
    """
    with open_session() as session:
        emit(session.resources.get_group(GroupName.parse(name)), output, query, COLUMNS)


@app.command("delete")
def delete(name: Name, yes: Yes = False, no_wait: NoWait = False) -> None:
    """Delete a group with every registry in it.

    \b
    Example: darsena group delete -n shop --yes
    """
    group = GroupName.parse(name)
    confirm(f"Delete the group {group!r} and every registry in it?", yes=yes)
    with open_session() as session:
        session.resources.delete_group(group, wait=not no_wait)


@app.command("exists")
def exists(name: Name) -> None:
    """Print true or false.

    \b
    Example: darsena group exists -n shop
    """
    with open_session() as session:
        emit(session.resources.has_group(GroupName.parse(name)), Format.TSV, None)
