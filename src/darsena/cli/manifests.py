"""`darsena manifest`: the manifests of a repository, by digest."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.images import ImageName, parse_image
from darsena.cli.options import Output, Query, Top, Yes
from darsena.cli.output import Column, Format, chosen, emit, key
from darsena.cli.repositories import ORDERS, OrderOption, delete_image, open_login_server
from darsena.cli.terminal import human_bytes, say, write_raw
from darsena.client.errors import NotAllowed, NotFound

if TYPE_CHECKING:
    from collections.abc import Generator

    from darsena.client.login_server import LoginServer

app = typer.Typer(help="Manifests: images, indexes and artifacts by digest.", no_args_is_help=True)

Registry = Annotated[
    str | None, typer.Option("--registry", "-r", metavar="REGISTRY", help="The registry's name or login server.")
]
Name = Annotated[
    str | None,
    typer.Option("--name", "-n", metavar="NAME", help="The repository, or for one manifest name:tag or name@digest."),
]
FullName = Annotated[
    str | None, typer.Argument(metavar="[FULL_NAME]", help="Instead of -r and -n: login-server/name[:tag|@digest].")
]
COLUMNS = (
    Column("DIGEST", key("digest")),
    Column("TAGS", lambda row: ", ".join(row.get("tags") or [])),
    Column("PLATFORM", lambda row: "/".join(str(row[part]) for part in ("os", "architecture") if row.get(part))),
    Column("SIZE", lambda row: human_bytes(float(row.get("imageSize") or 0))),
    Column("MEDIA TYPE", key("mediaType")),
    Column("LAST UPDATE", lambda row: _time(row.get("lastUpdateTime"))),
)
PULL_COLUMNS = (
    Column("PULLS", key("pullCount")),
    Column("LAST PULL", lambda row: _time(row.get("lastPullTime"))),
)


@contextmanager
def _open(
    registry: str | None, name: str | None, full_name: str | None
) -> Generator[tuple[LoginServer, ImageName], None, None]:
    if full_name is not None:
        image = parse_image(full_name)
        if registry is not None or name is not None or not image.host:
            raise UsageProblem("give either LOGIN_SERVER/NAME or -r REGISTRY and -n NAME")
        registry = image.host
    elif registry is None or name is None:
        raise UsageProblem("the registry and the name are needed", hint="give -r REGISTRY and -n NAME")
    else:
        image = parse_image(name)
    with open_login_server(registry) as server:
        yield server, image


@app.command("list")
def list_(
    full_name: FullName = None,
    registry: Registry = None,
    name: Name = None,
    orderby: OrderOption = None,
    top: Top = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """List the manifests of a repository: their attributes and, beside them, their content.

    \b
    Example: darsena manifest list -r contoso -n shop/web -o table
    """
    with _open(registry, name, full_name) as (server, image):
        manifests = list(server.list_manifests(image.repository, top=top, order=ORDERS[orderby]))
        if query is None and chosen(output) is Format.TABLE:
            emit(manifests, output, None, COLUMNS)
            return
        emit([{**_content(server, image, str(row["digest"])), **row} for row in manifests], output, query)


def _content(server: LoginServer, image: ImageName, digest: str) -> dict[str, Any]:
    return dict(json.loads(server.read_manifest(image.repository, digest)))


@app.command("list-metadata")
def list_metadata(
    full_name: FullName = None,
    registry: Registry = None,
    name: Name = None,
    orderby: OrderOption = None,
    top: Top = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """List the attributes of the manifests of a repository.

    \b
    Example: darsena manifest list-metadata -r contoso -n shop/web --query '[?tags==null].digest'
    """
    with _open(registry, name, full_name) as (server, image):
        emit(list(server.list_manifests(image.repository, top=top, order=ORDERS[orderby])), output, query, COLUMNS)


@app.command("show")
def show(
    full_name: FullName = None,
    registry: Registry = None,
    name: Name = None,
    raw: Annotated[bool, typer.Option("--raw", help="The manifest's own bytes, untouched.")] = False,
    output: Output = None,
    query: Query = None,
) -> None:
    """Show the content of a manifest; how often it was pulled goes to standard error.

    \b
    Example: darsena manifest show -r contoso -n shop/web:v1 --raw | sha256sum
    """
    with _open(registry, name, full_name) as (server, image):
        pulls = "" if raw else _describe_pulls(server, image)
        content = server.read_manifest(image.repository, image.reference or "latest")
    if raw:
        write_raw(content)
        return
    # A manifest is a document: a table of it says nothing, so a terminal gets JSON too.
    emit(json.loads(content), output or Format.JSON, query)
    if pulls:
        say(pulls)


def _describe_pulls(server: LoginServer, image: ImageName) -> str:
    """Nothing for who may read the content and not the attributes, and before the first pull."""
    try:
        attributes = server.get_manifest_attributes(image.repository, _digest(server, image))
    except (NotAllowed, NotFound):
        return ""
    number = attributes.get("pullCount")
    return "" if number is None else f"pulled {number} times, last at {_time(attributes['lastPullTime'])}"


def _time(text: object) -> str:
    return str(text or "")[:19].replace("T", " ")


@app.command("show-metadata")
def show_metadata(
    full_name: FullName = None,
    registry: Registry = None,
    name: Name = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Show the attributes of a manifest, with its pulls.

    \b
    Example: darsena manifest show-metadata -r contoso -n shop/web:v1
    """
    with _open(registry, name, full_name) as (server, image):
        digest = _digest(server, image)
        emit(server.get_manifest_attributes(image.repository, digest), output, query, (*COLUMNS, *PULL_COLUMNS))


def _digest(server: LoginServer, image: ImageName) -> str:
    if image.is_digest:
        return image.reference
    return str(server.get_tag(image.repository, image.reference or "latest")["digest"])


@app.command("delete")
def delete(
    full_name: FullName = None,
    registry: Registry = None,
    name: Name = None,
    yes: Yes = False,
) -> None:
    """Delete a manifest with every tag that points at it.

    \b
    Example: darsena manifest delete -r contoso -n shop/web@sha256:… --yes
    """
    with _open(registry, name, full_name) as (server, image):
        if not image.reference:
            raise UsageProblem("name the manifest by tag or digest", hint="write name:tag or name@digest")
        delete_image(server, image, yes=yes)
