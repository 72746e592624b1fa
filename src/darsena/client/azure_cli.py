"""The stock `az` made to talk to a server: its cloud registered, its configuration signed in, its trust widened.

Everything is done by the program itself, which knows its own files; what was done is written beside them.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from darsena.client.errors import OperationFailed, SignInFailed
from darsena.client.profile import Profile, config_folder

CLOUD: Final = "Darsena"
PUBLIC_CLOUD: Final = "AzureCloud"
TIMEOUT_S: Final = 120.0
_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_QUIET: Final = {"collect_telemetry": "no", "login_experience_v2": "off", "survey_message": "no"}


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was set up, written beside the configuration."""

    fingerprint: str
    client_id: str
    previous_cloud: str = PUBLIC_CLOUD


@dataclass(frozen=True, slots=True, kw_only=True)
class Az:
    """The program, and the configuration folder that it works on."""

    program: str
    folder: Path
    bundle: Path | None

    def run(self, *arguments: str) -> None:
        """Raise OperationFailed with what the program said."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AZURE_")}
        environment["AZURE_CONFIG_DIR"] = str(self.folder)
        if self.bundle is not None:
            environment["REQUESTS_CA_BUNDLE"] = str(self.bundle)
        try:
            done = subprocess.run(
                [self.program, *arguments, "--only-show-errors", "--output", "none"],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OperationFailed(f"{self.program} could not be run: {error}") from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-2000:]
            raise OperationFailed(f"`az {' '.join(arguments[:2])}` failed: {said}", hint=_hint(said))

    def read_cloud(self) -> str:
        """The one that is in use."""
        return _read_ini(self.folder / "config").get("cloud", "name", fallback=PUBLIC_CLOUD)

    def register(self, cloud: str, control_url: str) -> None:
        """The cloud as the server describes itself, also where one of this name was known."""
        known = _read_ini(self.folder / "clouds.config").has_section(cloud)
        verb = "update" if known else "register"
        self.run("cloud", verb, "--name", cloud, "--endpoint-resource-manager", control_url)

    def sign_in(self, profile: Profile) -> None:
        """The secret goes through a file, since a command line can be read by everybody on the machine."""
        descriptor, path = tempfile.mkstemp(dir=self.folder, prefix=".secret-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(profile.client_secret)
            kind = () if profile.is_person else ("--service-principal",)
            tenant = ("--tenant", profile.tenant_id) if profile.tenant_id else ()
            self.run("login", *kind, "--username", profile.client_id, "--password", f"@{path}", *tenant)
        finally:
            Path(path).unlink(missing_ok=True)


def find_program(wanted: str | None) -> str:
    path = shutil.which(wanted or "az")
    if path is None:
        raise OperationFailed(
            f"the Azure CLI ({wanted or 'az'}) is not installed here",
            hint="`pipx install azure-cli`, or see https://learn.microsoft.com/cli/azure/install-azure-cli",
        )
    return path


def open_isolated(profile: Profile, program: str | None) -> Path:
    """A configuration folder of its own for this server and identity, ready for use. The second time it costs nothing.

    Raise OperationFailed, SignInFailed.
    """
    check_profile(profile)
    host = profile.control_url.partition("://")[2].replace(":", "_").replace("/", "_")
    who = hashlib.sha256(profile.client_id.encode()).hexdigest() if profile.is_person else profile.client_id
    folder = config_folder() / "az" / f"{host}-{who[:8]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    az = Az(program=find_program(program), folder=folder, bundle=write_bundle(profile, folder / "ca-bundle.pem"))
    done = _read_done(folder / "darsena.json")
    fingerprint = _fingerprint(profile)
    if done is None or done.fingerprint != fingerprint or not (folder / "azureProfile.json").exists():
        az.register(CLOUD, profile.control_url)
        _write_config(folder / "config")
        az.sign_in(profile)
        _write_done(folder / "darsena.json", Done(fingerprint=fingerprint, client_id=profile.client_id))
    return folder


def set_up_own(profile: Profile, program: str | None) -> Path | None:
    """The person's own configuration; the bundle to trust comes back. Raise OperationFailed, SignInFailed."""
    check_profile(profile)
    az, state = _open_own(program, profile)
    before = az.read_cloud()
    done = _read_done(state)
    previous = before if before != CLOUD else (done.previous_cloud if done is not None else PUBLIC_CLOUD)
    kept = Done(fingerprint=_fingerprint(profile), client_id=profile.client_id, previous_cloud=previous)
    _write_done(state, kept)
    az.register(CLOUD, profile.control_url)
    az.run("cloud", "set", "--name", CLOUD)
    az.sign_in(profile)
    return az.bundle


def undo_own(program: str | None) -> list[str]:
    """Everything that `set_up_own` did, taken back; what was changed. Nothing to take back: an empty list."""
    az, state = _open_own(program, None)
    done, lines = _read_done(state), list[str]()
    known = _read_ini(az.folder / "clouds.config").has_section(CLOUD)
    if az.read_cloud() == CLOUD:
        if done is not None:
            with contextlib.suppress(OperationFailed):  # signed out by hand already
                az.run("logout", "--username", done.client_id)
                lines.append(f"signed out {done.client_id}")
        previous = PUBLIC_CLOUD if done is None else done.previous_cloud
        az.run("cloud", "set", "--name", previous)
        lines.append(f"az uses the cloud {previous} again")
    if known:
        az.run("cloud", "unregister", "--name", CLOUD)
        lines.append(f"the cloud {CLOUD} is no longer registered")
    for path in (state, _own_bundle()):
        if path.exists():
            path.unlink()
            lines.append(f"removed {path}")
    return lines


def check_profile(profile: Profile) -> None:
    """Raise SignInFailed for an identity that az cannot be given, OperationFailed for a server that it refuses."""
    if not profile.control_url.startswith("https://"):
        raise OperationFailed(
            f"az signs in over https only, and {profile.control_url} is not",
            hint="run the server with TLS, or put a proxy with TLS before it",
        )
    if not profile.client_id or not profile.client_secret:
        raise SignInFailed("the profile has no client secret", hint="sign in with `darsena login -u CLIENT_ID`")


def write_bundle(profile: Profile, path: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The authorities that this machine knows and the server's own, since az takes one file instead of its own. None
    where the server's certificate is publicly trusted."""
    if not profile.ca_file:
        return None
    try:
        own = Path(profile.ca_file).read_bytes()
    except OSError as error:
        raise OperationFailed(f"{profile.ca_file} cannot be read: {error.strerror}") from error
    content = b"\n".join(part.strip() for part in (_read_authorities(path, environment), own)) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists() or path.read_bytes() != content:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".bundle-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    return path


def names_resolve(profile: Profile) -> bool:
    """Whether this machine finds the host that logs are read from, and so every registry's."""
    domain = profile.registry_domain.partition(":")[0]
    if not domain:
        return True
    try:
        return bool(socket.getaddrinfo(f"darsena.blob.core.{domain}", None))
    except OSError:
        return False


def _read_authorities(own: Path, environment: Mapping[str, str]) -> bytes:
    """Those that the person chose, else the system's."""
    chosen = environment.get("REQUESTS_CA_BUNDLE", "")
    places = [chosen] if chosen and not _is_ours(Path(chosen), own) else []
    places += [ssl.get_default_verify_paths().cafile or "", *_SYSTEM_BUNDLES]
    for place in places:
        with contextlib.suppress(OSError):
            if place:
                return Path(place).read_bytes()
    return b""


def _is_ours(chosen: Path, own: Path) -> bool:
    folder = config_folder() / "az"
    return chosen == own or folder in chosen.parents


def _open_own(program: str | None, profile: Profile | None) -> tuple[Az, Path]:
    folder = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure").expanduser()
    if (config_folder() / "az") in folder.parents:
        raise OperationFailed(
            "this shell already has the isolated configuration of `darsena az-env`",
            hint='leave it with `eval "$(darsena az-env --unset)"`, or use another shell',
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    bundle = None if profile is None else write_bundle(profile, _own_bundle())
    return Az(program=find_program(program), folder=folder, bundle=bundle), config_folder() / "az" / "setup.json"


def _own_bundle() -> Path:
    return config_folder() / "az" / "ca-bundle.pem"


def _fingerprint(profile: Profile) -> str:
    parts = (profile.control_url, profile.client_id, profile.client_secret, profile.tenant_id)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _write_config(path: Path) -> None:
    """The cloud in use, and nothing sent or asked that nobody here wants."""
    parser = _read_ini(path)
    for section, values in (("core", _QUIET), ("cloud", {"name": CLOUD})):
        if not parser.has_section(section):
            parser.add_section(section)
        for name, value in values.items():
            parser.set(section, name, value)
    with path.open("w") as file:
        parser.write(file)


def _read_ini(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):
        parser.read(path)
    return parser


def _read_done(path: Path) -> Done | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Done)
    except (OSError, msgspec.DecodeError):
        return None


def _write_done(path: Path, done: Done) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(msgspec.json.encode(done) + b"\n")


def _hint(said: str) -> str:
    lowered = said.lower()
    if "certificate" in lowered or "ssl" in lowered:
        return "the server's certificate was not accepted; `darsena doctor` says more"
    if "name resolution" in lowered or "failed to resolve" in lowered:
        return "run `darsena trust` once, so that the names are found"
    return ""
