"""`darsena user`: the people who may sign in at a server."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Output, Query, Yes
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import ask_text, confirm, say_aside
from darsena.client.shapes import Object, as_objects

app = typer.Typer(help="The people who may sign in.", no_args_is_help=True)

SHOWN_ONCE = "the password is shown this once: keep it"

UserName = Annotated[str, typer.Argument(metavar="NAME", help="The name that the person signs in with.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
Prompt = Annotated[bool, typer.Option("--prompt", help="Ask for the password. Without it, one is made and shown once.")]
RoleOption = Annotated[
    str | None, typer.Option("--role", metavar="ROLE", help="Also give this role: a name such as AcrPull, or its id.")
]
ScopesOption = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="ID", help="Where the role counts (repeatable). [default: the subscription]"),
]
COLUMNS = (
    Column("USER NAME", key("userName")),
    Column("NAME", key("displayName")),
    Column("ENABLED", lambda row: "yes" if row.get("enabled") else "no"),
    Column("OBJECT ID", key("id")),
    Column("ROLES", lambda row: show_roles(row)),
)


def show_roles(row: Object) -> str:
    return ", ".join(str(role.get("role")) for role in as_objects(row.get("roles")))


def read_password(*, stdin: bool, prompt: bool) -> str | None:
    """None to have one made."""
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not prompt:
        return None
    first = ask_text("Password", secret=True)
    if ask_text("The same again", secret=True) != first:
        raise UsageProblem("the two are not the same")
    return first


def make_roles(role: str | None, scopes: list[str] | None) -> list[Object]:
    if role is None:
        if scopes:
            raise UsageProblem("--scope says where a role counts, and there is no --role")
        return []
    return [{"role": role, "scope": scope} for scope in scopes] if scopes else [{"role": role}]


@app.command("create")
def create(
    name: UserName,
    display_name: Annotated[str | None, typer.Option("--display-name", help="How the person is called.")] = None,
    password_stdin: PasswordStdin = False,
    prompt: Prompt = False,
    role: RoleOption = None,
    scope: ScopesOption = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Let a person sign in.

    Without --prompt or --password-stdin a password is made, and shown once.

    \b
    Example: darsena user create ana@example.com --role Contributor
    """
    body: Object = {"userName": name, "roles": make_roles(role, scope)}
    password = read_password(stdin=password_stdin, prompt=prompt)
    if password is not None:
        body["password"] = password
    if display_name is not None:
        body["displayName"] = display_name
    with open_session() as session:
        made = session.users.create(body)
    if made.get("password"):
        say_aside(SHOWN_ONCE)
    emit(made, output, query, (*COLUMNS, Column("PASSWORD", key("password"))))


@app.command("list")
def list_(output: Output = None, query: Query = None) -> None:
    """List the people.

    \b
    Example: darsena user list -o table
    """
    with open_session() as session:
        emit(list(session.users.list()), output, query, COLUMNS[:-1])


@app.command("show")
def show(name: UserName, output: Output = None, query: Query = None) -> None:
    """Show a person and the roles they hold.

    \b
    Example: darsena user show ana@example.com
    """
    with open_session() as session:
        emit(session.users.get(name), output, query, COLUMNS)


@app.command("delete")
def delete(name: UserName, yes: Yes = False) -> None:
    """Delete a person, with the roles they hold.

    \b
    Example: darsena user delete ana@example.com -y
    """
    confirm(f"Delete the user {name}?", yes=yes)
    with open_session() as session:
        session.users.delete(name)


@app.command("set-password")
def set_password(
    name: UserName,
    password_stdin: PasswordStdin = False,
    prompt: Prompt = False,
    output: Output = None,
    query: Query = None,
) -> None:
    """Give a person another password. Their sign-ins end.

    \b
    Example: darsena user set-password ana@example.com --prompt
    """
    password = read_password(stdin=password_stdin, prompt=prompt)
    with open_session() as session:
        changed = session.users.post(name, "password", {} if password is None else {"password": password})
    if changed.get("password"):
        say_aside(SHOWN_ONCE)
    emit(changed, output, query, (*COLUMNS, Column("PASSWORD", key("password"))))


@app.command("disable")
def disable(name: UserName, output: Output = None, query: Query = None) -> None:
    """Keep a person from signing in. What they are signed in with stops within a second.

    \b
    Example: darsena user disable ana@example.com
    """
    with open_session() as session:
        emit(session.users.set_enabled(name, False), output, query, COLUMNS)


@app.command("enable")
def enable(name: UserName, output: Output = None, query: Query = None) -> None:
    """Let a person sign in again.

    \b
    Example: darsena user enable ana@example.com
    """
    with open_session() as session:
        emit(session.users.set_enabled(name, True), output, query, COLUMNS)
