"""`darsena az-env` and `darsena az-setup`: the stock az, pointed at a server."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from darsena.cli.terminal import say, say_aside, write_result
from darsena.client import azure_cli
from darsena.client.profile import Profile, find_profile

AzProgram = Annotated[str | None, typer.Option("--az", metavar="PROGRAM", help="The Azure CLI. [default: az]")]
NAMES = ("AZURE_CONFIG_DIR", "REQUESTS_CA_BUNDLE")


def az_env(
    az: AzProgram = None,
    unset: Annotated[bool, typer.Option("--unset", help="Print what makes the shell as it was before.")] = False,
) -> None:
    """Give this shell an az of its own: configuration apart, cloud registered, signed in.

    Your Azure sign-ins stay as they are; another shell does not notice. The first time takes a few seconds.

    \b
    Example: eval "$(darsena az-env)"
    """
    if unset:
        write_result(f"unset {' '.join(NAMES)}\n")
        return
    profile = _find_profile()
    folder = azure_cli.open_isolated(profile, az)
    _warn_of_names(profile)
    values = {"AZURE_CONFIG_DIR": str(folder)}
    if profile.ca_file:
        values["REQUESTS_CA_BUNDLE"] = str(folder / "ca-bundle.pem")
    for name, value in values.items():
        write_result(f"export {name}={shlex.quote(value)}\n")


def az_setup(
    az: AzProgram = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back everything that az-setup has changed.")] = False,
) -> None:
    """Register and choose the cloud in your own az configuration, and sign in there.

    Real clouds stay one command away: `az cloud set -n AzureCloud`.

    \b
    Example: darsena az-setup
    """
    if undo:
        lines = azure_cli.undo_own(az)
        for line in lines or ["nothing to take back"]:
            say(line)
        return
    profile = _find_profile()
    bundle = azure_cli.set_up_own(profile, az)
    say(f"az talks to {profile.control_url} now; back with `az cloud set -n AzureCloud`")
    _warn_of_names(profile)
    if bundle is not None:
        say("every shell that uses az needs this line, for instance in its profile:")
        write_result(f"export REQUESTS_CA_BUNDLE={shlex.quote(str(bundle))}\n")


def _find_profile() -> Profile:
    found = find_profile()
    if found.notice:
        say_aside(found.notice)
    return found.profile


def _warn_of_names(profile: Profile) -> None:
    if not azure_cli.names_resolve(profile):
        say(f"the names below {profile.registry_domain} are not found on this machine: run `darsena trust` once")


def register(app: typer.Typer) -> None:
    app.command("az-env")(az_env)
    app.command("az-setup")(az_setup)
