"""`darsena repository`: what a registry holds, by name and tag."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.images import ImageName, parse_image, parse_referenced
from darsena.cli.maintenance import show_size
from darsena.cli.options import Group, Output, Query, RegistryName, Top, Yes
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import confirm
from darsena.core.names import RepositoryName

if TYPE_CHECKING:
    from collections.abc import Generator

    from darsena.client.login_server import LoginServer

app = typer.Typer(help="Repositories and their tags.", no_args_is_help=True)

RepositoryOption = Annotated[
    str | None, typer.Option("--repository", metavar="REPOSITORY", help="The repository's name.")
]
ImageOption = Annotated[
    str | None, typer.Option("--image", "-t", metavar="IMAGE", help="An image: name:tag or name@digest.")
]


class Order(StrEnum):
    OLDEST_FIRST = "time_asc"
    NEWEST_FIRST = "time_desc"


OrderOption = Annotated[Order | None, typer.Option("--orderby", help="By time of last update instead of by name.")]
ORDERS = {None: "", Order.OLDEST_FIRST: "timeasc", Order.NEWEST_FIRST: "timedesc"}

TAG_COLUMNS = (
    Column("NAME", key("name")),
    Column("DIGEST", key("digest")),
    Column("LAST UPDATE", lambda row: str(row.get("lastUpdateTime") or "")[:19].replace("T", " ")),
)


@contextmanager
def open_login_server(name: str, group: str | None = None) -> Generator[LoginServer, None, None]:
    """The registry's data plane. A full login server is taken at its word: its caller may have no right to ask ARM."""
    with open_session() as session:
        if "." in name and group is None:
            host = session.directory.with_port(name.lower())
        else:
            host = session.resources.find_registry(name, group).login_server
        yield session.login_server(host)


@app.command("list")
def list_(
    name: RegistryName, top: Top = None, resource_group: Group = None, output: Output = None, query: Query = None
) -> None:
    """List the names of the repositories.

    \b
    Example: darsena repository list -n contoso -o tsv
    """
    with open_login_server(name, resource_group) as server:
        emit(list(server.list_repositories(top)), output, query)


@app.command("show")
def show(
    name: RegistryName,
    repository: RepositoryOption = None,
    image: ImageOption = None,
    size: Annotated[
        bool, typer.Option("--size", help="What the repository takes: own, shared, freed if it were deleted.")
    ] = False,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Show the attributes of a repository, a tag or a manifest, pulls included; with --size what a repository takes.

    \b
    Example: darsena repository show -n contoso --image shop/web:v1
    Example: darsena repository show -n contoso --repository shop/web --size
    """
    if size:
        if image is not None:
            raise UsageProblem("--size is of repositories, not of an image")
        show_size(name, repository, output, query)
        return
    _one_of(repository, image)
    with open_login_server(name, resource_group) as server:
        if repository is not None:
            emit(server.get_repository(RepositoryName.parse(repository)), output, query)
            return
        named = parse_image(image or "")
        reference = named.reference or "latest"
        if named.is_digest:
            emit(server.get_manifest_attributes(named.repository, reference), output, query)
        else:
            emit(server.get_tag(named.repository, reference), output, query)


@app.command("show-tags")
def show_tags(
    name: RegistryName,
    repository: Annotated[str, typer.Option("--repository", metavar="REPOSITORY", help="The repository's name.")],
    detail: Annotated[bool, typer.Option("--detail", help="All attributes, not only the names.")] = False,
    orderby: OrderOption = None,
    top: Top = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """List the tags of a repository.

    \b
    Example: darsena repository show-tags -n contoso --repository shop/web --orderby time_desc --top 5 --detail
    """
    parsed = RepositoryName.parse(repository)
    with open_login_server(name, resource_group) as server:
        tags = list(server.list_tags(parsed, top=top, order=ORDERS[orderby]))
    if detail:
        emit(tags, output, query, TAG_COLUMNS)
    else:
        emit([tag["name"] for tag in tags], output, query)


@app.command("delete")
def delete(
    name: RegistryName,
    repository: RepositoryOption = None,
    image: ImageOption = None,
    yes: Yes = False,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Delete a repository, or an image with every tag that points at it.

    \b
    Example: darsena repository delete -n contoso --image shop/web:v1 --yes
    """
    _one_of(repository, image)
    with open_login_server(name, resource_group) as server:
        if repository is not None:
            parsed = RepositoryName.parse(repository)
            confirm(f"Delete the repository {parsed!r} and every image in it?", yes=yes)
            emit(server.delete_repository(parsed), output, query)
        else:
            delete_image(server, parse_referenced(image or ""), yes=yes)


def delete_image(server: LoginServer, image: ImageName, *, yes: bool) -> None:
    """The manifest that `image` names, and with it all its tags; asked with those tags before the person's eyes."""
    digest = image.reference if image.is_digest else str(server.get_tag(image.repository, image.reference)["digest"])
    if not yes:
        tags = [str(tag["name"]) for tag in server.list_tags(image.repository, digest=digest)]
        with_tags = f" and its tags {', '.join(tags)}" if tags else ""
        confirm(f"Delete the manifest {image.repository}@{digest}{with_tags}?", yes=False)
    server.delete_manifest(image.repository, digest)


@app.command("untag")
def untag(
    name: RegistryName,
    image: Annotated[str, typer.Option("--image", "-t", metavar="IMAGE", help="The tag to remove: name:tag.")],
    resource_group: Group = None,
) -> None:
    """Remove a tag; the manifest stays.

    \b
    Example: darsena repository untag -n contoso --image shop/web:v1
    """
    named = parse_referenced(image)
    if named.is_digest:
        raise UsageProblem(f"{image!r} names a digest; a tag is removed by name:tag")
    with open_login_server(name, resource_group) as server:
        server.untag(named.repository, named.reference)


def _one_of(repository: str | None, image: str | None) -> None:
    if (repository is None) == (image is None):
        raise UsageProblem("name either a repository or an image", hint="give --repository NAME or --image NAME:TAG")
