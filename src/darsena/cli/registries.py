"""The registries themselves: create, list, show, update, delete, show-usage."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, Location, Output, Query, RegistryName, Tags, Yes, parse_tags
from darsena.cli.output import Column, Format, chosen, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import ask_text, confirm, is_interactive
from darsena.client.shapes import Object, as_object, as_objects, flatten
from darsena.core.names import GroupName
from darsena.core.names import RegistryName as ParsedRegistryName


class Sku(StrEnum):
    BASIC = "Basic"
    STANDARD = "Standard"
    PREMIUM = "Premium"


SkuOption = Annotated[Sku | None, typer.Option("--sku", case_sensitive=False, help="The tier.")]
AdminEnabled = Annotated[
    str | None, typer.Option("--admin-enabled", metavar="true|false", help="Whether the admin user can sign in.")
]
AnonymousPull = Annotated[
    str | None,
    typer.Option("--anonymous-pull-enabled", metavar="true|false", help="Whether anyone may pull. Standard, Premium."),
]
COLUMNS = (
    Column("NAME", key("name")),
    Column("RESOURCE GROUP", key("resourceGroup")),
    Column("LOCATION", key("location")),
    Column("SKU", lambda row: as_object(row.get("sku")).get("name")),
    Column("LOGIN SERVER", key("loginServer")),
    Column("CREATION DATE", lambda row: str(row.get("creationDate") or "")[:19].replace("T", " ")),
    Column("ADMIN ENABLED", key("adminUserEnabled")),
)
USAGE_COLUMNS = (
    Column("NAME", key("name")),
    Column("LIMIT", key("limit")),
    Column("CURRENT VALUE", key("currentValue")),
    Column("UNIT", key("unit")),
)


def register(app: typer.Typer) -> None:
    app.command("create")(create)
    app.command("list")(list_)
    app.command("show")(show)
    app.command("update")(update)
    app.command("delete")(delete)
    app.command("show-usage")(show_usage)


def truth(text: str | None, option: str) -> bool | None:
    """az's spelling of a truth: `true` or `false` as a value. None when not given."""
    if text is None:
        return None
    if text.lower() in ("true", "t", "yes", "1"):
        return True
    if text.lower() in ("false", "f", "no", "0"):
        return False
    raise UsageProblem(f"{option} takes true or false, not {text!r}")


def create(
    name: RegistryName,
    resource_group: Group = None,
    sku: SkuOption = None,
    admin_enabled: AdminEnabled = None,
    anonymous_pull_enabled: AnonymousPull = None,
    location: Location = None,
    tags: Tags = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Make a registry. Its location is the group's unless one is given.

    \b
    Example: darsena create -g shop -n contoso --sku Basic --admin-enabled true
    """
    registry = ParsedRegistryName.parse(name)
    properties: Object = {"adminUserEnabled": truth(admin_enabled, "--admin-enabled") or False}
    anonymous = truth(anonymous_pull_enabled, "--anonymous-pull-enabled")
    if anonymous is not None:
        properties["anonymousPullEnabled"] = anonymous
    body: Object = {"sku": {"name": (sku or Sku.BASIC).value}, "properties": properties}
    parsed_tags = parse_tags(tags)
    if parsed_tags is not None:
        body["tags"] = parsed_tags
    with open_session() as session:
        if resource_group is None:
            if not is_interactive():
                raise UsageProblem("the registry needs a group", hint=_those(session.resources.list_groups()))
            resource_group = ask_text(f"Resource group ({_those(session.resources.list_groups())})")
        group = GroupName.parse(resource_group)
        body["location"] = location or str(session.resources.get_group(group)["location"])
        made = session.resources.put_registry(group, registry, body)
    emit(flatten(made), output, query, COLUMNS)


def _those(groups: list[Object]) -> str:
    if not groups:
        return "make one with `darsena group create -n GROUP`, then give -g GROUP"
    return "give -g with one of: " + ", ".join(sorted(str(group["name"]) for group in groups))


def list_(resource_group: Group = None, output: Output = None, query: Query = None) -> None:
    """List the registries, of all groups or of one.

    \b
    Example: darsena list -o tsv --query '[].loginServer'
    """
    with open_session() as session:
        registries = session.resources.list_registries(resource_group)
    emit([flatten(registry) for registry in registries], output, query, COLUMNS)


def show(name: RegistryName, resource_group: Group = None, output: Output = None, query: Query = None) -> None:
    """Show one registry.

    \b
    Example: darsena show -n contoso --query loginServer -o tsv
    """
    with open_session() as session:
        emit(flatten(session.resources.find_registry(name, resource_group).resource), output, query, COLUMNS)


def update(
    name: RegistryName,
    resource_group: Group = None,
    sku: SkuOption = None,
    admin_enabled: AdminEnabled = None,
    anonymous_pull_enabled: AnonymousPull = None,
    tags: Tags = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Change a registry: its tier, its admin user, anonymous pull, its tags.

    \b
    Example: darsena update -n contoso --sku Standard --anonymous-pull-enabled true
    """
    truths = {
        "adminUserEnabled": truth(admin_enabled, "--admin-enabled"),
        "anonymousPullEnabled": truth(anonymous_pull_enabled, "--anonymous-pull-enabled"),
    }
    properties = {field: value for field, value in truths.items() if value is not None}
    body: Object = {"properties": properties} if properties else {}
    if sku is not None:
        body["sku"] = {"name": sku.value}
    parsed_tags = parse_tags(tags)
    if parsed_tags is not None:
        body["tags"] = parsed_tags
    if not body:
        raise UsageProblem("there is nothing to change", hint="give --sku, --admin-enabled or another option")
    with open_session() as session:
        changed = session.resources.find_registry(name, resource_group).patch(body)
    emit(flatten(changed), output, query, COLUMNS)


def delete(name: RegistryName, resource_group: Group = None, yes: Yes = False) -> None:
    """Delete a registry with every image in it.

    \b
    Example: darsena delete -n contoso --yes
    """
    confirm(f"Delete the registry {name!r} and every image in it?", yes=yes)
    with open_session() as session:
        session.resources.find_registry(name, resource_group).delete()


def show_usage(name: RegistryName, resource_group: Group = None, output: Output = None, query: Query = None) -> None:
    """Show what a registry uses of its tier's limits.

    \b
    Example: darsena show-usage -n contoso -o table
    """
    with open_session() as session:
        usage = session.resources.find_registry(name, resource_group).get_usage()
    # az answers with the wire's object, which holds a list; the table is of the list's rows.
    if query is None and chosen(output) is Format.TABLE:
        emit(as_objects(usage.get("value")), output, None, USAGE_COLUMNS)
    else:
        emit(usage, output, query)
