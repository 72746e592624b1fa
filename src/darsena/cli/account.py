"""Signing in: this command at a server, and a container client at a registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from darsena.cli.exit_codes import UsageProblem
from darsena.cli.options import Group, Output, Query
from darsena.cli.output import Column, Format, emit, key
from darsena.cli.repositories import open_login_server
from darsena.cli.session import open_session
from darsena.cli.terminal import ask_text, is_interactive, say
from darsena.client.errors import OperationFailed, SignInFailed
from darsena.client.profile import (
    DEFAULT_PROFILE,
    Profile,
    ProfileStore,
    config_folder,
    find_owner,
    find_profile,
    read_profile,
)
from darsena.client.shapes import Object, as_object

CLIENTS = ("podman", "docker")
NULL_USER = "00000000-0000-0000-0000-000000000000"
"""The user name under which a refresh token is a password."""

Name = Annotated[
    str | None,
    typer.Option("--name", "-n", metavar="REGISTRY", help="Log the container client in to this registry instead."),
]
Server = Annotated[str | None, typer.Option("--server", metavar="URL", help="The control host's address.")]
User = Annotated[
    str | None,
    typer.Option("--username", "-u", metavar="WHO", help="A service principal's client id, or a person's user name."),
]
Password = Annotated[
    str | None, typer.Option("--password", "-p", help="The secret, or the password. Asked for when it is missing.")
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the secret from standard input.")]
CaFile = Annotated[str | None, typer.Option("--ca-file", metavar="FILE", help="The CA that signs the server's names.")]
OwnerFile = Annotated[
    str | None, typer.Option("--owner", metavar="FILE", help="Sign in as the owner whom this owner.json names.")
]
ProfileName = Annotated[str, typer.Option("--profile", metavar="NAME", help="The profile to store the sign-in as.")]
ClientOption = Annotated[
    str | None, typer.Option("--client", metavar="PROGRAM", help="The container client: podman or docker.")
]
ExposeToken = Annotated[
    bool, typer.Option("--expose-token", "-t", help="Print a token for the registry; no container client is needed.")
]
COLUMNS = (
    Column("Name", key("name")),
    Column("SubscriptionId", key("id")),
    Column("TenantId", key("tenantId")),
    Column("User", lambda row: as_object(row.get("user")).get("name")),
)


def login(
    name: Name = None,
    server: Server = None,
    username: User = None,
    password: Password = None,
    password_stdin: PasswordStdin = False,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="TENANT", help="The tenant's id.")] = None,
    ca_file: CaFile = None,
    owner: OwnerFile = None,
    service_principal: Annotated[
        bool, typer.Option("--service-principal", help="Not needed: a client id tells. For those used to az.")
    ] = False,
    profile: ProfileName = DEFAULT_PROFILE,
    client: ClientOption = None,
    expose_token: ExposeToken = False,
    resource_group: Group = None,
    output: Output = None,
    query: Query = None,
) -> None:
    """Sign in at a server; with -n, log podman or docker in to a registry.

    Without options, on the machine where `darsena serve` runs, sign in as its owner.

    \b
    Examples:
      darsena login
      darsena login --server https://registry.example.com -u CLIENT_ID
      darsena login -u ana@example.com
      darsena login -n contoso
    """
    secret = sys.stdin.readline().rstrip("\n") if password_stdin else password
    if name is None:
        if expose_token:
            raise UsageProblem("--expose-token is for one registry", hint="name it with -n REGISTRY")
        chosen = _chosen_profile(server, username, secret, tenant, ca_file, owner)
        emit(_sign_in(chosen, profile), output, query, COLUMNS)
    elif expose_token:
        with open_login_server(name, resource_group) as login_server:
            token = login_server.refresh_token()
            host = login_server.host
        exposed = {"accessToken": token, "refreshToken": token, "loginServer": host, "username": NULL_USER}
        # A token is read by programs: no table of it.
        emit(exposed, output or Format.JSON, query)
    else:
        _log_client_in(name, resource_group, username, secret, client)


def logout(profile: ProfileName = DEFAULT_PROFILE) -> None:
    """Forget a sign-in.

    \b
    Example: darsena logout
    """
    if not ProfileStore(config_folder()).delete(profile):
        raise SignInFailed(f"there is no profile {profile!r}")


def _chosen_profile(
    server: str | None,
    username: str | None,
    secret: str | None,
    tenant: str | None,
    ca_file: str | None,
    owner: str | None,
) -> Profile:
    """From the options; what they leave out is asked for, or taken from a local server's owner."""
    if owner is not None:
        return read_profile(Path(owner).absolute())
    local = _local_owner() if server is None or ca_file is None else None
    if server is None and username is None and secret is None:
        if local is not None:
            return local
        if not is_interactive():
            raise UsageProblem("the server is missing", hint="give --server URL and -u WHO")
    if local is not None and (server is None or server.rstrip("/") == local.control_url.rstrip("/")):
        # Someone else at the local server: its address and CA are known.
        base = local
    else:
        base = Profile(control_url=server or ask_text("Server (https://…)"), client_id="", client_secret="")
    url = base.control_url if "://" in base.control_url else f"https://{base.control_url}"
    return Profile(
        control_url=url.rstrip("/"),
        registry_domain=base.registry_domain,
        client_id=username or ask_text("Client id, or user name"),
        client_secret=secret or ask_text("Secret", secret=True),
        tenant_id=tenant or base.tenant_id,
        ca_file=str(Path(ca_file).absolute()) if ca_file else base.ca_file,
    )


def _local_owner() -> Profile | None:
    data = os.environ.get("DARSENA_DATA")
    try:
        return find_owner(Path(data)).profile if data else find_profile({**os.environ, "DARSENA_PROFILE": ""}).profile
    except SignInFailed:
        return None


def _sign_in(profile: Profile, name: str) -> list[Object]:
    """Store the profile once the server has accepted it; the answer is the subscriptions, as az login prints them."""
    with open_session(profile) as session:
        domain = session.directory.metadata.registry_domain
        subscriptions = session.resources.list_subscriptions()
    if not subscriptions:
        raise SignInFailed(f"{profile.client_id} is known at {profile.control_url}, but sees no subscription there")
    first = subscriptions[0]
    stored = msgspec.structs.replace(
        profile,
        registry_domain=domain,
        tenant_id=profile.tenant_id or str(first.get("tenantId") or ""),
        subscription_id=profile.subscription_id or str(first["subscriptionId"]),
    )
    path = ProfileStore(config_folder()).put(name, stored)
    say(f"signed in at {profile.control_url} as {profile.client_id}; kept in {path}")
    user = {"name": profile.client_id, "type": "user" if profile.is_person else "servicePrincipal"}
    return [
        {
            "cloudName": "Darsena",
            "id": found["subscriptionId"],
            "isDefault": found["subscriptionId"] == stored.subscription_id,
            "name": found.get("displayName"),
            "state": found.get("state"),
            "tenantId": found.get("tenantId"),
            "user": user,
        }
        for found in subscriptions
    ]


def _log_client_in(name: str, group: str | None, username: str | None, secret: str | None, client: str | None) -> None:
    program = _find_client(client)
    with open_login_server(name, group) as login_server:
        host = login_server.host
        if username is None:
            user, password = NULL_USER, login_server.refresh_token()
        else:
            user, password = username, secret or ask_text("Password", secret=True)
    done = subprocess.run(
        [program, "login", host, "--username", user, "--password-stdin"],
        input=password,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise OperationFailed(
            f"{Path(program).name} could not log in to {host}: {done.stderr.strip() or done.stdout.strip()}",
            hint=_client_hint(done.stderr),
        )
    say(f"{Path(program).name} is logged in to {host}")


def _find_client(wanted: str | None) -> str:
    """The program's path: the one asked for, the one in DOCKER_COMMAND (as az has it), or whichever is there."""
    asked = wanted or os.environ.get("DOCKER_COMMAND")
    for name in [asked] if asked else CLIENTS:
        path = shutil.which(name)
        if path:
            return path
    raise OperationFailed(
        f"the container client {asked} is not installed" if asked else "neither podman nor docker is installed",
        hint="install one, or take a token with --expose-token",
    )


def _client_hint(text: str) -> str:
    lowered = text.lower()
    if any(sign in lowered for sign in ("x509", "certificate", "no such host", "lookup", "name resolution")):
        return "run `darsena trust`: it makes the registry's name and certificate known on this machine"
    return ""


def register(app: typer.Typer) -> None:
    app.command("login")(login)
    app.command("logout")(logout)
