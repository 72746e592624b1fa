"""`darsena sp`: service principals, the programs that sign in at a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Output, Query, Yes
from darsena.cli.output import Column, emit, key
from darsena.cli.session import open_session
from darsena.cli.terminal import confirm, say_aside
from darsena.cli.users import RoleOption, ScopesOption, make_roles, show_roles
from darsena.client.shapes import Object, as_objects

app = typer.Typer(help="Service principals: programs that sign in.", no_args_is_help=True)

SHOWN_ONCE = "the secret is shown this once: keep it"
_DAY_S = 24 * 3600

Name = Annotated[str, typer.Argument(metavar="ID", help="The client id or the object id.")]
CertificateFile = Annotated[
    Path, typer.Option("--cert", metavar="FILE", help="A certificate in PEM. A private key in the file stays here.")
]
Days = Annotated[
    int | None, typer.Option("--days", min=1, max=36500, help="How long the secret holds. [default: for ever]")
]
RedirectUris = Annotated[
    list[str] | None,
    typer.Option("--redirect-uri", metavar="URI", help="Where people's sign-ins may be answered (repeatable)."),
]
COLUMNS = (
    Column("NAME", key("displayName")),
    Column("CLIENT ID", key("appId")),
    Column("OBJECT ID", key("id")),
    Column("ENABLED", lambda row: "yes" if row.get("enabled") else "no"),
)
SHOWN = (
    *COLUMNS,
    Column("SECRETS", lambda row: len(as_objects(row.get("secrets")))),
    Column(
        "CERTIFICATES", lambda row: ", ".join(str(row["thumbprint"]) for row in as_objects(row.get("certificates")))
    ),
    Column("ROLES", show_roles),
)
CREATED = (*COLUMNS, Column("SECRET", key("password")), Column("TENANT", key("tenant")))


def read_certificate(path: Path) -> str:
    """The file's first certificate and nothing else: az writes key and certificate into one file."""
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path} cannot be read as a certificate: {error}") from error
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in text or end not in text:
        raise UsageProblem(f"{path} holds no certificate in PEM", hint=f"it begins with {begin}")
    return f"{begin}{text.partition(begin)[2].partition(end)[0]}{end}\n"


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How the program is called.")],
    role: RoleOption = None,
    scope: ScopesOption = None,
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="Sign in with this certificate (PEM) instead of a secret."),
    ] = None,
    days: Days = None,
    redirect_uri: RedirectUris = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Make a service principal. Its secret is shown once.

    \b
    Example: darsena sp create ci --role AcrPush
    Example: darsena sp create deployer --cert deployer.pem
    """
    body: Object = {"displayName": name, "roles": make_roles(role, scope), "redirectUris": redirect_uri or []}
    if cert is not None:
        body["certificates"] = [read_certificate(cert)]
    if days is not None:
        body["secretLifetimeSeconds"] = days * _DAY_S
    with open_session() as session:
        made = session.service_principals.create(body)
    if made.get("password"):
        say_aside(SHOWN_ONCE)
    emit(made, output, query, CREATED)


@app.command("list")
def list_(output: Output = None, query: Query = None) -> None:
    """List the service principals.

    \b
    Example: darsena sp list -o table
    """
    with open_session() as session:
        emit(list(session.service_principals.list()), output, query, COLUMNS)


@app.command("show")
def show(name: Name, output: Output = None, query: Query = None) -> None:
    """Show a service principal: what it signs in with, and the roles it holds.

    \b
    Example: darsena sp show 00000000-0000-0000-0000-000000000001
    """
    with open_session() as session:
        emit(session.service_principals.get(name), output, query, SHOWN)


@app.command("delete")
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a service principal, with its secrets, certificates and roles.

    \b
    Example: darsena sp delete 00000000-0000-0000-0000-000000000001 -y
    """
    confirm(f"Delete the service principal {name}?", yes=yes)
    with open_session() as session:
        session.service_principals.delete(name)


@app.command("reset-credentials")
def reset_credentials(name: Name, days: Days = None, output: Output = None, query: Query = None) -> None:
    """Replace all its secrets by one new one. What was made from the old ones stops within a second.

    \b
    Example: darsena sp reset-credentials 00000000-0000-0000-0000-000000000001
    """
    body: Object = {} if days is None else {"secretLifetimeSeconds": days * _DAY_S}
    with open_session() as session:
        made = session.service_principals.post(name, "secret", body)
    say_aside(SHOWN_ONCE)
    emit(made, output, query, CREATED)


@app.command("add-certificate")
def add_certificate(name: Name, cert: CertificateFile, output: Output = None, query: Query = None) -> None:
    """Let it sign in with the key of a certificate, too.

    \b
    Example: darsena sp add-certificate 00000000-0000-0000-0000-000000000001 --cert ci.pem
    """
    text = read_certificate(cert)
    with open_session() as session:
        emit(session.service_principals.post(name, "certificates", {"certificate": text}), output, query, SHOWN)


@app.command("remove-certificate")
def remove_certificate(
    name: Name,
    thumbprint: Annotated[str, typer.Option("--thumbprint", metavar="HEX", help="As `darsena sp show` has it.")],
) -> None:
    """Let it no longer sign in with the key of a certificate.

    \b
    Example: darsena sp remove-certificate 00000000-0000-0000-0000-000000000001 --thumbprint 0F…
    """
    with open_session() as session:
        session.service_principals.remove(name, "certificates", thumbprint)


@app.command("set-redirect-uris")
def set_redirect_uris(
    name: Name, redirect_uri: RedirectUris = None, output: Output = None, query: Query = None
) -> None:
    """Say where people who sign in through it may be answered: exactly these addresses, or none.

    \b
    Example: darsena sp set-redirect-uris 00000000-0000-0000-0000-000000000001 --redirect-uri https://app.example.com/cb
    """
    with open_session() as session:
        changed = session.service_principals.put(name, "redirectUris", {"redirectUris": redirect_uri or []})
        emit(changed, output, query, SHOWN)


@app.command("disable")
def disable(name: Name, output: Output = None, query: Query = None) -> None:
    """Keep it from signing in. What it is signed in with stops within a second.

    \b
    Example: darsena sp disable 00000000-0000-0000-0000-000000000001
    """
    with open_session() as session:
        emit(session.service_principals.set_enabled(name, False), output, query, SHOWN)


@app.command("enable")
def enable(name: Name, output: Output = None, query: Query = None) -> None:
    """Let it sign in again.

    \b
    Example: darsena sp enable 00000000-0000-0000-0000-000000000001
    """
    with open_session() as session:
        emit(session.service_principals.set_enabled(name, True), output, query, SHOWN)
