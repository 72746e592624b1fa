"""The data folder: its marker file, its lock, its own small files. The bytes' layout stands in storage/layout.py."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

from darsena.core.errors import StartFailure
from darsena.local.addresses import Addresses, Scheme

FORMAT_VERSION = 1
DatabaseKind = Literal["sqlite", "postgresql"]

_OURS = ("lock", "darsena.toml", "lost+found")
"""What may lie in a folder that is not made yet; the last one in a disk's root."""
_HALF_MADE = (*_OURS, "keys", "tls", "db", "keys/agent.token", "keys/agent.token.new", "darsena.json.new")
"""What a crash of `Folder.make` leaves at most: it is made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """`darsena.json`: what is fixed for the folder's life."""

    format_version: int
    stamp_uid: str
    control_host: str
    registry_domain: str
    port: int
    database: DatabaseKind
    """Where the metadata is: opening the other one would show an empty registry."""
    scheme: Scheme = "https"
    """Of every link. Folders made before it was written down have https."""

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            control_host=self.control_host, registry_domain=self.registry_domain, port=self.port, scheme=self.scheme
        )

    def check_database(self, kind: DatabaseKind) -> None:
        """Raises StartFailure when the settings name another kind of database than the folder was made with."""
        if kind != self.database:
            raise StartFailure(
                f"this data folder keeps its metadata in {self.database}, and the settings say {kind}: "
                "set DARSENA_DATABASE__URL as it was, or start with a new folder"
            )


class Folder:
    """Paths below DIR."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marker = root / "darsena.json"
        self.lock = root / "lock"
        self.keys = root / "keys"
        self.tls = root / "tls"
        self.database = root / "db" / "darsena.db"
        self.owner = root / "owner.json"
        self.root_key = self.keys / "root.key"
        self.agent_token = self.keys / "agent.token"
        self.ca_file = self.tls / "ca.pem"
        self.ca_key = self.tls / "ca.key"
        self.certificate = self.tls / "server.pem"
        self.private_key = self.tls / "server.key"
        self.prepared = self.tls / "prepared.json"

    def read_marker(self) -> Marker | None:
        """None for a folder that is not there or empty. Raises StartFailure for one that is not ours or too new."""
        if not self.marker.exists():
            if self.root.is_dir() and (foreign := self._find_foreign()):
                raise StartFailure(
                    f"{self.root} is not empty and no data folder of Dársena (it holds {foreign!r}, and no "
                    "darsena.json); name an empty or new folder with --data, or put that file back from a backup"
                )
            return None
        try:
            values: dict[str, Any] = json.loads(self.marker.read_text("utf-8"))
            version = int(values["format_version"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from error
        if version > FORMAT_VERSION:
            raise StartFailure(
                f"{self.root} has format version {version} and this Dársena knows up to {FORMAT_VERSION}: "
                "it was written by a newer Dársena; install that version or a later one"
            )
        if version < 1:
            raise StartFailure(f"{self.root} has the unknown format version {version}")
        try:
            names = [name for name in Marker.__dataclass_fields__ if name != "scheme"]
            return Marker(**{name: values[name] for name in names}, scheme=values.get("scheme", "https"))
        except KeyError as error:
            raise self._unreadable(error) from error

    def _find_foreign(self) -> str | None:
        """Something in the folder that `make` does not put there before the marker."""
        entries = sorted(os.listdir(self.root))
        for name in (self.keys.name, self.tls.name, self.database.parent.name):
            if name in entries and (self.root / name).is_dir():
                entries += [f"{name}/{inside}" for inside in sorted(os.listdir(self.root / name))]
        return next((entry for entry in entries if entry not in _HALF_MADE), None)

    def _unreadable(self, error: Exception) -> StartFailure:
        return StartFailure(f"{self.marker} cannot be read ({error}); restore it from a backup")

    def ensure_agent_token(self) -> None:
        """What a build agent signs in with; the one that `serve` starts is told."""
        if not self.agent_token.exists():
            self.keys.mkdir(mode=0o700, exist_ok=True)
            write_private(self.agent_token, secrets.token_urlsafe(32))

    def make(self, addresses: Addresses, database: DatabaseKind) -> Marker:
        """Create the folder with its subfolders, agent token and marker; the marker comes last. Idempotent."""
        for path in (self.root, self.keys, self.tls, self.database.parent):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # a parent that may be passed and not be read
            _sync_folder(self.root.parent)
        self.ensure_agent_token()
        marker = Marker(
            format_version=FORMAT_VERSION,
            stamp_uid=secrets.token_hex(16),
            control_host=addresses.control_host,
            registry_domain=addresses.registry_domain,
            port=addresses.port,
            database=database,
            scheme=addresses.scheme,
        )
        write_private(self.marker, json.dumps(asdict(marker), indent=2) + "\n")
        return marker


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step, readable by the owner only, durable."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def take_lock(folder: Folder) -> IO[str]:
    """Hold the folder for this process's life. Raises StartFailure naming the holder."""
    try:
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder.lock.open("a+", encoding="utf-8")
    except OSError as error:
        raise StartFailure(
            f"{folder.root} cannot be used as a data folder ({error.strerror}): name another with --data, or see to "
            "the rights on it"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "an unknown process"
        file.close()
        raise StartFailure(
            f"{folder.root} is in use by another server ({holder}); stop that one, or name another folder with --data"
        ) from None
    return file


def sign_lock(file: IO[str], text: str) -> None:
    """Write who holds the lock, for the next one that wants it."""
    file.seek(0)
    file.truncate()
    file.write(text + "\n")
    file.flush()
