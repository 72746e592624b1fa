"""`darsena credential`: the admin user's two passwords."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from darsena.cli.options import Group, Output, Query, RegistryName
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.client.errors import OperationFailed
from darsena.client.shapes import Object, as_objects

app = typer.Typer(help="The admin user's two passwords.", no_args_is_help=True)


class PasswordName(StrEnum):
    PASSWORD = "password"  # noqa: S105
    PASSWORD2 = "password2"


def _password(name: str) -> Any:
    def value(row: Object) -> Any:
        return next((item.get("value") for item in as_objects(row.get("passwords")) if item.get("name") == name), None)

    return value


COLUMNS = (
    Column("USERNAME", key("username")),
    Column("PASSWORD", _password("password")),
    Column("PASSWORD2", _password("password2")),
)


@app.command("show")
def show(name: RegistryName, resource_group: Group = None, output: Output = None, query: Query = None) -> None:
    """Show the admin user's name and passwords.

    \b
    Example: darsena credential show -n contoso --query 'passwords[0].value' -o tsv
    """
    with open_session() as session:
        registry = session.resources.find_registry(name, resource_group)
        if not registry.is_admin_enabled:
            raise OperationFailed(
                f"the admin user of {registry.name} is disabled",
                hint=f"enable it with `darsena update -n {registry.name} --admin-enabled true`",
            )
        emit(registry.list_credentials(), output, query, COLUMNS)


@app.command("renew")
def renew(
    name: RegistryName,
    password_name: Annotated[
        PasswordName, typer.Option("--password-name", case_sensitive=False, help="Which of the two.")
    ],
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Make one of the two passwords anew; the other stays as it is.

    \b
    Example: darsena credential renew -n contoso --password-name password2
    """
    with open_session() as session:
        registry = session.resources.find_registry(name, resource_group)
        emit(registry.regenerate_credential(password_name.value), output, query, COLUMNS)
