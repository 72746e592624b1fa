"""Who we are and which server we talk to: stored profiles, and the owner's file of a local server."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from darsena.client.errors import SignInFailed

DEFAULT_PROFILE = "default"
_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One signed-in identity. The fields are those of a server's `owner.json`."""

    control_url: str
    client_id: str
    """A program's client id, which is a GUID, or a person's user name, which is none."""
    client_secret: str
    """The program's secret, or the person's password."""
    registry_domain: str = ""
    """With or without a port; empty when not known yet."""
    tenant_id: str = ""
    subscription_id: str = ""
    ca_file: str | None = None

    @property
    def control_host(self) -> str:
        return urlsplit(self.control_url).hostname or ""

    @property
    def is_person(self) -> bool:
        return _GUID.fullmatch(self.client_id) is None

    @property
    def scheme(self) -> str:
        """`http` only of a server on this machine that says so itself."""
        return "http" if self.control_url.startswith("http://") and self.is_loopback else "https"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.control_host)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProfile:
    """`notice` is what the person should hear once when the choice was not theirs."""

    profile: Profile
    notice: str = ""


def is_loopback(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or Path.home()) / ".config")
    return Path(base) / "darsena"


class ProfileStore:
    """Files of one profile each, mode 0600, in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        if not name or not all(char.isalnum() or char in "-_." for char in name) or name.startswith("."):
            raise SignInFailed(f"the profile name {name!r} is not valid", hint="use letters, digits, - and _")
        return self.folder / "profiles" / f"{name}.json"

    def find(self, name: str) -> Profile | None:
        path = self.path(name)
        return read_profile(path) if path.exists() else None

    def put(self, name: str, profile: Profile) -> Path:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".profile-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n")
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
        return path

    def delete(self, name: str) -> bool:
        try:
            self.path(name).unlink()
        except FileNotFoundError:
            return False
        return True


def read_profile(path: Path) -> Profile:
    """Raise SignInFailed when the file cannot be read or is no profile."""
    try:
        profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    except OSError as error:
        raise SignInFailed(
            f"{path} cannot be read: {error.strerror}",
            hint="run as the user who runs `darsena serve`, or sign in with `darsena login`",
        ) from error
    except msgspec.DecodeError as error:
        raise SignInFailed(f"{path} holds no credentials: {error}", hint="sign in anew with `darsena login`") from error
    if profile.ca_file and not Path(profile.ca_file).is_absolute():
        return msgspec.structs.replace(profile, ca_file=str(path.parent / profile.ca_file))
    return profile


def find_profile(environment: Mapping[str, str] = os.environ) -> FoundProfile:
    """The profile that `DARSENA_PROFILE` names, else the default one, else the owner of a local server.

    `DARSENA_DATA` beats a stored default profile only if that one is of another server. Raise SignInFailed if there
    is none.
    """
    folder = config_folder(environment)
    store = ProfileStore(folder)
    name = environment.get("DARSENA_PROFILE")
    if name:
        profile = store.find(name)
        if profile is None:
            raise SignInFailed(f"there is no profile {name!r}", hint=f"sign in with `darsena login --profile {name}`")
        return FoundProfile(profile=profile)
    stored = store.find(DEFAULT_PROFILE)
    data = environment.get("DARSENA_DATA")
    if data and (Path(data) / "owner.json").exists():
        owner = find_owner(Path(data))
        if stored is None or stored.control_url.rstrip("/") != owner.profile.control_url.rstrip("/"):
            return owner
    if stored is not None:
        return FoundProfile(profile=stored)
    return find_owner(_last_serve(folder))


def find_owner(data: Path | None) -> FoundProfile:
    """The owner of the server whose data folder is `data`. Raise SignInFailed if there is none, or it is not local."""
    if data is None:
        raise SignInFailed(
            "not signed in, and no local server was started by this user",
            hint="start one with `darsena serve`, or sign in with `darsena login --server URL -u CLIENT_ID`",
        )
    path = data / "owner.json"
    if not path.exists():
        raise SignInFailed(f"not signed in, and {path} does not exist", hint="sign in with `darsena login`")
    profile = read_profile(path)
    if not profile.is_loopback:
        raise SignInFailed(
            f"not signed in: {path} is of {profile.control_url}, which is not this machine's loopback",
            hint=f"sign in with `darsena login --owner {path}`",
        )
    return FoundProfile(profile=profile, notice=f"using the owner of the local server ({path})")


def _last_serve(folder: Path) -> Path | None:
    """The data folder that the last `darsena serve` of this user wrote down."""
    try:
        text = (folder / "last-serve").read_text().strip()
    except OSError:
        return None
    return Path(text) if text else None
