"""`darsena trust [--undo]`: make the names resolve and the CA known on this machine, and say what changed.

Every change is one that `--undo` can take back: files of our own name, and a marked block in the hosts file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from darsena.core.errors import Problem, StartFailure
from darsena.local.addresses import Addresses
from darsena.local.folder import Folder

_BEGIN = "# BEGIN {name} (made by `darsena trust`, removed by `darsena trust --undo`)"
_END = "# END {name}"
_NAME = "darsena-{stamp}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The places that `trust` writes to; tests name others."""

    hosts: Path = Path("/etc/hosts")
    podman: Path = Path("/etc/containers/certs.d")
    docker: Path = Path("/etc/docker/certs.d")
    containerd: Path = Path("/etc/containerd/certs.d")
    system: Path = Path("/usr/local/share/ca-certificates")
    update_system: tuple[str, ...] = ("update-ca-certificates",)

    @classmethod
    def of_user(cls) -> Machine:
        """Without root only the user's own podman folder can be written."""
        home = Path.home()
        return cls(podman=home / ".config/containers/certs.d")


class Trust:
    """Applies or takes back; each returns one line per change made."""

    def __init__(self, machine: Machine, addresses: Addresses, ca_file: Path, stamp_uid: str, *, root: bool) -> None:
        self._machine = machine
        self._addresses = addresses
        self._ca_file = ca_file
        self._name = _NAME.format(stamp=stamp_uid[:8])
        self._root = root

    def apply(self, labels: Iterable[str]) -> list[str]:
        """`labels` are the first ones of login servers: a registry's name, or its name and a hash. Each login server
        gets its own folder, as the clients have no star folders."""
        with _alone(self._machine.hosts):
            return self._apply(labels)

    def _apply(self, labels: Iterable[str]) -> list[str]:
        servers = [f"{label.lower()}{self._addresses.login_server_suffix}" for label in labels]
        done = [self._put_certificate(folder, server) for server in servers for folder in self._client_folders()]
        done += [self._put_containerd(server) for server in servers] if self._root else []
        if self._root:
            done += [self._put_hosts(servers), self._put_system()]
        return [line for line in done if line]

    def is_applied(self) -> bool:
        """Whether this stamp's block stands in the hosts file, and it can be written."""
        hosts = self._machine.hosts
        try:
            return _BEGIN.format(name=self._name) in hosts.read_text("utf-8") and os.access(hosts, os.W_OK)
        except OSError:
            return False

    def undo(self) -> list[str]:
        with _alone(self._machine.hosts):
            return self._undo()

    def _undo(self) -> list[str]:
        done: list[str] = []
        for folder in (*self._client_folders(), self._machine.containerd):
            suffix = self._addresses.login_server_suffix
            for path in sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []:
                done += self._remove_own(path)
        if self._root:
            done += [self._write_block([]), self._remove_system()]
        return [line for line in done if line]

    # --- one place each -------------------------------------------------------------------------------------------

    def _client_folders(self) -> list[Path]:
        """podman, buildah and skopeo share one; docker has its own, read by its daemon."""
        return [self._machine.podman, self._machine.docker] if self._root else [self._machine.podman]

    def _put_certificate(self, folder: Path, server: str) -> str:
        return _write(folder / server / f"{self._name}.crt", self._ca_file.read_text("ascii"))

    def _put_containerd(self, server: str) -> str:
        folder = self._machine.containerd / server
        text = f'server = "https://{server}"\n\n[host."https://{server}"]\n  ca = "{folder / (self._name + ".crt")}"\n'
        lines = [
            _write(folder / f"{self._name}.crt", self._ca_file.read_text("ascii")),
            _write(folder / "hosts.toml", text),
        ]
        return "\n".join(line for line in lines if line)

    def _put_hosts(self, servers: list[str]) -> str:
        names = [self._addresses.control_host, self._addresses.blob_host, *(_host(server) for server in servers)]
        wanted = [name for name in dict.fromkeys(names) if name != "localhost"]
        return self._write_block([f"127.0.0.1 {name}" for name in wanted])

    def _write_block(self, lines: list[str]) -> str:
        """Replace our marked block, leaving every other line as it is."""
        path = self._machine.hosts
        before = path.read_text("utf-8") if path.exists() else ""
        rest = _without_block(before, self._name)
        block = (
            "\n".join([_BEGIN.format(name=self._name), *lines, _END.format(name=self._name)]) + "\n" if lines else ""
        )
        after = (rest if not rest or rest.endswith("\n") else rest + "\n") + block
        if after == before:
            return ""
        _overwrite(path, after)
        return f"{'wrote' if lines else 'removed'} Dársena's names in {path}"

    def _put_system(self) -> str:
        line = _write(self._machine.system / f"{self._name}.crt", self._ca_file.read_text("ascii"))
        return self._refresh_system(line)

    def _remove_system(self) -> str:
        path = self._machine.system / f"{self._name}.crt"
        if not path.exists():
            return ""
        path.unlink()
        return self._refresh_system(f"removed {path}")

    def _refresh_system(self, line: str) -> str:
        command = self._machine.update_system
        if not line or not command or shutil.which(command[0]) is None:
            return line
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            return f"{line} (but {command[0]} failed: {done.stderr.strip()[:200]})"
        return f"{line}, and ran {command[0]}"

    def _remove_own(self, folder: Path) -> list[str]:
        done: list[str] = []
        certificate, hosts = folder / f"{self._name}.crt", folder / "hosts.toml"
        if hosts.exists() and self._name in hosts.read_text("utf-8"):
            hosts.unlink()
            done.append(f"removed {hosts}")
        if certificate.exists():
            certificate.unlink()
            done.append(f"removed {certificate}")
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        return done


def make_trust(addresses: Addresses, ca_file: Path, stamp_uid: str) -> Trust:
    root = os.geteuid() == 0
    if not ca_file.exists():
        raise StartFailure(f"{ca_file} is not there: start `darsena serve` once, it makes its certificates")
    return Trust(Machine() if root else Machine.of_user(), addresses, ca_file, stamp_uid, root=root)


def list_labels(folder: Folder) -> list[str]:
    """Of the registries of the server that runs on this folder; none while it does not answer."""
    from darsena.client.profile import read_profile  # an HTTP client is not needed to take things back
    from darsena.client.session import Session

    if not folder.owner.exists():
        return []
    try:
        with Session(read_profile(folder.owner)) as session:
            found = session.resources.list_registries()
            return [str(registry["properties"]["loginServer"]).partition(".")[0] for registry in found]
    except Problem:
        return []


def keep_names(trust: Trust, labels: list[str]) -> list[str]:
    """Bring what `darsena trust` wrote for this stamp up to date with its registries, if it wrote anything."""
    return trust.apply(labels) if trust.is_applied() else []


def _host(server: str) -> str:
    return server.partition(":")[0]


def _without_block(text: str, name: str) -> str:
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.strip() == _BEGIN.format(name=name):
            inside = True
        elif inside and line.strip() == _END.format(name=name):
            inside = False
        elif not inside:
            kept.append(line)
    return "".join(kept)


@contextlib.contextmanager
def _alone(hosts: Path) -> Generator[None]:
    """One `trust` at a time on this machine: the servers of several folders keep their names by themselves."""
    try:
        descriptor = os.open(hosts, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _overwrite(path: Path, text: str) -> None:
    """In place, as the hosts file may be a mount that cannot be renamed over; at no moment is what stays missing."""
    content = text.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> str:
    if path.exists() and path.read_text("utf-8") == text:
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o644)
    return f"wrote {path}"
