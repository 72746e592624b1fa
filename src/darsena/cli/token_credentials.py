"""`darsena token credential`: a token's two passwords, each with an end of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, Output, Query, RegistryOption, Yes
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import confirm, say_aside
from darsena.client.shapes import Object, as_object, as_objects, properties
from darsena.core.clock import parse_time, render_time

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(help="The passwords of a token.", no_args_is_help=True)

SHOWN_ONCE = "the passwords are shown this once only: keep them now"
Name = Annotated[str, typer.Option("--name", "-n", metavar="TOKEN", help="The token's name.")]
Expiration = Annotated[
    str | None,
    typer.Option("--expiration", metavar="TIME", help="When the passwords end, such as 2030-12-31T12:59:59Z."),
]
ExpirationInDays = Annotated[
    int | None, typer.Option("--expiration-in-days", min=1, max=100_000, help="After so many days. Default: never.")
]
Password1 = Annotated[bool, typer.Option("--password1", help="The first password.")]
Password2 = Annotated[bool, typer.Option("--password2", help="The second password.")]


def _value(name: str) -> Callable[[Object], str]:
    """Of the password; of one that was made before, what stands in for it."""

    def value(row: Object) -> str:
        named = [item for item in as_objects(row.get("passwords")) if item.get("name") == name]
        return str(named[0].get("value") or "(unchanged)") if named else ""

    return value


COLUMNS = (
    Column("USERNAME", key("username")),
    Column("PASSWORD1", _value("password1")),
    Column("PASSWORD2", _value("password2")),
)


def find_expiry(at: str | None, days: int | None) -> str | None:
    """None: the passwords do not end. Raises UsageProblem."""
    if at is not None and days is not None:
        raise UsageProblem("--expiration and --expiration-in-days say the same thing: give one of them")
    if days is not None:
        return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    if at is None:
        return None
    try:
        return render_time(parse_time(at))
    except ValueError:
        raise UsageProblem(f"{at!r} is no time", hint="write it as 2030-12-31T12:59:59Z") from None


@app.command("generate")
def generate(
    name: Name,
    registry: RegistryOption,
    password1: Password1 = False,
    password2: Password2 = False,
    expiration: Expiration = None,
    expiration_in_days: ExpirationInDays = None,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Make one password anew, or both: what was there before stops within a second.

    \b
    Example: darsena token credential generate -n ci-puller -r contoso --password1 --expiration-in-days 30
    """
    expiry = find_expiry(expiration, expiration_in_days)
    with open_session() as session:
        found = session.resources.find_registry(registry, resource_group)
        body: Object = {"tokenId": found.tokens.path_of(name)}
        if expiry is not None:
            body["expiry"] = expiry
        if password1 != password2:
            body["name"] = "password1" if password1 else "password2"
        made = found.generate_credentials(body)
    say_aside(SHOWN_ONCE)
    emit(made, output, query, COLUMNS)


@app.command("delete")
def delete(
    name: Name,
    registry: RegistryOption,
    password1: Password1 = False,
    password2: Password2 = False,
    yes: Yes = False,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Delete one password, or both: it stops within a second.

    \b
    Example: darsena token credential delete -n ci-puller -r contoso --password2 --yes
    """
    gone = [slot for slot, chosen in (("password1", password1), ("password2", password2)) if chosen]
    if not gone:
        raise UsageProblem("name a password to delete", hint="give --password1, --password2 or both")
    confirm(f"Delete {' and '.join(gone)} of the token {name!r}?", yes=yes)
    with open_session() as session:
        tokens = session.resources.find_registry(registry, resource_group).tokens
        there = as_objects(as_object(properties(tokens.get(name)).get("credentials")).get("passwords"))
        kept = [row for row in there if row.get("name") not in gone]
        changed = tokens.patch(name, {"credentials": {"passwords": kept}})
    emit(properties(changed).get("credentials"), output, query)
