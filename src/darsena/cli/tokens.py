"""`darsena token`: names with passwords of their own, which may do what their scope map says."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, Output, Query, RegistryOption, Yes
from darsena.cli.output import Column, emit, key
from darsena.cli.scope_maps import Repositories, parse_repositories
from darsena.cli.session import open_session
from darsena.cli.terminal import confirm, say_aside
from darsena.cli.token_credentials import SHOWN_ONCE, Expiration, ExpirationInDays, Name, find_expiry
from darsena.cli.token_credentials import app as credentials
from darsena.client.errors import NotFound, OperationFailed
from darsena.client.shapes import Object, as_object, as_objects, flatten, properties

if TYPE_CHECKING:
    from darsena.client.resources import Registry

app = typer.Typer(help="Tokens: names with passwords and rights of their own.", no_args_is_help=True)
app.add_typer(credentials, name="credential")


class Status(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


StatusOption = Annotated[
    Status | None, typer.Option("--status", case_sensitive=False, help="Whether it can be used. Default: enabled.")
]
ScopeMapOption = Annotated[
    str | None, typer.Option("--scope-map", metavar="SCOPE_MAP", help="The scope map that says what it may do.")
]
COLUMNS = (
    Column("NAME", key("name")),
    Column("SCOPE MAP", lambda row: str(row.get("scopeMapId") or "").rpartition("/")[2]),
    Column("PASSWORD1 EXPIRY", lambda row: _expiry(row, "password1")),
    Column("PASSWORD2 EXPIRY", lambda row: _expiry(row, "password2")),
    Column("STATUS", key("status")),
    Column("CREATION DATE", lambda row: str(row.get("creationDate") or "")[:19].replace("T", " ")),
)


def _expiry(row: Object, name: str) -> str:
    """Empty when the token has no such password."""
    passwords = as_objects(as_object(row.get("credentials")).get("passwords"))
    ends = [item.get("expiry") for item in passwords if item.get("name") == name]
    return (str(ends[0])[:19].replace("T", " ") if ends[0] else "never") if ends else ""


@app.command("create")
def create(
    name: Name,
    registry: RegistryOption,
    repository: Repositories = None,
    scope_map: ScopeMapOption = None,
    status: StatusOption = None,
    no_passwords: Annotated[bool, typer.Option("--no-passwords", help="Make no passwords yet.")] = False,
    expiration: Expiration = None,
    expiration_in_days: ExpirationInDays = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Make a token with two passwords, which are shown once.

    With --repository it gets a scope map of its own, named NAME-scope-map.

    \b
    Example: darsena token create -n ci-puller -r contoso --repository shop/web content/read metadata/read
    Example: darsena token create -n deployer -r contoso --scope-map _repositories_pull --expiration-in-days 90
    """
    actions, expiry = parse_repositories(repository), find_expiry(expiration, expiration_in_days)
    if bool(actions) == (scope_map is not None):
        raise UsageProblem("say what it may do in one way", hint="give --repository NAME content/read, or --scope-map")
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group)
        bound = scope_map or _own_scope_map(found, name, actions)
        body: Object = {"scopeMapId": found.scope_maps.path_of(bound), "status": (status or Status.ENABLED).value}
        made = flatten(found.tokens.put(name, body))
        if not no_passwords:
            wanted: Object = {"tokenId": found.tokens.path_of(name)}
            made["credentials"] = {
                **as_object(made.get("credentials")),
                **found.generate_credentials(wanted if expiry is None else {**wanted, "expiry": expiry}),
            }
            say_aside(SHOWN_ONCE)
    emit(made, output, query, COLUMNS)


def _own_scope_map(registry: Registry, token: str, actions: list[str]) -> str:
    """The name of the token's own. One that is there must say the same."""
    name = f"{token}-scope-map"
    try:
        there: list[str] = properties(registry.scope_maps.get(name)).get("actions") or []
    except NotFound:
        registry.scope_maps.put(name, {"actions": actions, "description": f"Created by token: {token}"})
        return name
    if sorted(there) != sorted(set(actions)):
        raise OperationFailed(
            f"there is a scope map {name!r} already, with other actions",
            hint=f"change it with `darsena scope-map update -n {name}`, or name it with --scope-map",
        )
    return name


@app.command("list")
def list_(registry: RegistryOption, resource_group: Group = None, output: Output = None, query: Query = None) -> None:
    """List the tokens.

    \b
    Example: darsena token list -r contoso -o table
    """
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group).tokens.list()
    emit([flatten(row) for row in found], output, query, COLUMNS)


@app.command("show")
def show(
    name: Name, registry: RegistryOption, resource_group: Group = None, output: Output = None, query: Query = None
) -> None:
    """Show one token, without its passwords.

    \b
    Example: darsena token show -n ci-puller -r contoso
    """
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group).tokens.get(name)
    emit(flatten(found), output, query, COLUMNS)


@app.command("update")
def update(
    name: Name,
    registry: RegistryOption,
    scope_map: ScopeMapOption = None,
    status: StatusOption = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Enable or disable a token, or bind it to another scope map. It holds within a second.

    \b
    Example: darsena token update -n ci-puller -r contoso --status disabled
    """
    if scope_map is None and status is None:
        raise UsageProblem("there is nothing to change", hint="give --status or --scope-map")
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group)
        body: Object = {} if status is None else {"status": status.value}
        if scope_map is not None:
            body["scopeMapId"] = found.scope_maps.path_of(scope_map)
        changed = found.tokens.patch(name, body)
    emit(flatten(changed), output, query, COLUMNS)


@app.command("delete")
def delete(name: Name, registry: RegistryOption, resource_group: Group = None, yes: Yes = False) -> None:
    """Delete a token: its passwords stop within a second.

    \b
    Example: darsena token delete -n ci-puller -r contoso --yes
    """
    confirm(f"Delete the token {name!r}?", yes=yes)
    with open_session() as session:
        session.resources.find_registry(registry, resource_group).tokens.delete(name)
