"""`darsena scope-map`: which repositories a token may do what with."""

from __future__ import annotations

from typing import Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, Output, Query, RegistryOption, Yes
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import confirm
from darsena.client.shapes import Object, flatten, properties
from darsena.core.names import RepositoryName

app = typer.Typer(help="Scope maps: which repositories a token may do what with.", no_args_is_help=True)

ACTIONS = ("content/read", "content/write", "content/delete", "metadata/read", "metadata/write")

Name = Annotated[str, typer.Option("--name", "-n", metavar="SCOPE_MAP", help="The scope map's name.")]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for.")]
Repositories = Annotated[
    list[str] | None,
    typer.Option(
        "--repository",
        metavar="'NAME ACTION…'",
        help=f"A repository, NAME/* or *, and what may be done with it: {', '.join(ACTIONS)}. As often as needed.",
    ),
]
COLUMNS = (
    Column("NAME", key("name")),
    Column("TYPE", key("type")),
    Column("CREATION DATE", lambda row: str(row.get("creationDate") or "")[:19].replace("T", " ")),
    Column("DESCRIPTION", key("description")),
)


def parse_repositories(texts: list[str] | None) -> list[str]:
    """Each text names a repository and its actions, with blanks between. Raises UsageProblem, NameInvalid."""
    actions: list[str] = []
    for text in texts or ():
        name, *verbs = text.split()
        if not verbs:
            raise UsageProblem(f"the repository {name!r} has no action", hint=f"add some of {', '.join(ACTIONS)}")
        if name != "*":
            RepositoryName.parse(name.removesuffix("/*"))
        for verb in verbs:
            if verb not in ACTIONS:
                raise UsageProblem(f"{verb!r} is no action", hint=f"there are: {', '.join(ACTIONS)}")
            actions.append(f"repositories/{name}/{verb}")
    return actions


@app.command("create")
def create(
    name: Name,
    registry: RegistryOption,
    repository: Repositories = None,
    description: Description = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Make a scope map.

    \b
    Example: darsena scope-map create -n readers -r contoso --repository shop/web content/read metadata/read
    """
    actions = parse_repositories(repository)
    if not actions:
        raise UsageProblem("a scope map needs a repository", hint="give --repository NAME content/read")
    body: Object = {"actions": actions} if description is None else {"actions": actions, "description": description}
    with open_session() as session:
        made = session.resources.find_registry(registry, resource_group).scope_maps.put(name, body)
    emit(flatten(made), output, query, COLUMNS)


@app.command("list")
def list_(registry: RegistryOption, resource_group: Group = None, output: Output = None, query: Query = None) -> None:
    """List the scope maps, the system's among them.

    \b
    Example: darsena scope-map list -r contoso -o table
    """
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group).scope_maps.list()
    emit([flatten(row) for row in found], output, query, COLUMNS)


@app.command("show")
def show(
    name: Name, registry: RegistryOption, resource_group: Group = None, output: Output = None, query: Query = None
) -> None:
    """Show one scope map.

    \b
    Example: darsena scope-map show -n _repositories_pull -r contoso --query actions
    """
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group).scope_maps.get(name)
    emit(flatten(found), output, query, COLUMNS)


@app.command("update")
def update(
    name: Name,
    registry: RegistryOption,
    add_repository: Annotated[
        list[str] | None,
        typer.Option("--add-repository", "--add", metavar="'NAME ACTION…'", help="What its tokens may do besides."),
    ] = None,
    remove_repository: Annotated[
        list[str] | None,
        typer.Option("--remove-repository", "--remove", metavar="'NAME ACTION…'", help="What they may no longer do."),
    ] = None,
    description: Description = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Add actions, or remove some: tokens that use the scope map have them, or have not, within a second.

    \b
    Example: darsena scope-map update -n readers -r contoso --add-repository shop/api content/read
    """
    added, removed = parse_repositories(add_repository), parse_repositories(remove_repository)
    if not added and not removed and description is None:
        raise UsageProblem("there is nothing to change", hint="give --add-repository, --remove-repository or another")
    with open_session() as session:
        maps = session.resources.find_registry(registry, resource_group).scope_maps
        body: Object = {} if description is None else {"description": description}
        if added or removed:
            there: list[str] = properties(maps.get(name)).get("actions") or []
            body["actions"] = list(dict.fromkeys([*(row for row in there if row not in removed), *added]))
        changed = maps.patch(name, body)
    emit(flatten(changed), output, query, COLUMNS)


@app.command("delete")
def delete(name: Name, registry: RegistryOption, resource_group: Group = None, yes: Yes = False) -> None:
    """Delete a scope map that no token uses.

    \b
    Example: darsena scope-map delete -n readers -r contoso --yes
    """
    confirm(f"Delete the scope map {name!r}?", yes=yes)
    with open_session() as session:
        session.resources.find_registry(registry, resource_group).scope_maps.delete(name)
