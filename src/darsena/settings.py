"""One frozen Settings object: defaults < `darsena.toml` < environment (`DARSENA_SECTION__KEY`) < flags.

msgspec decodes it (adr/0003): the settings library of our first choice cost a quarter of the start-up time.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from darsena.core.errors import StartFailure

PREFIX = "DARSENA_"
OTHER_VARIABLES = frozenset(
    {
        "DARSENA_DATA",
        "DARSENA_CONFIG",
        "DARSENA_AGENT_TOKEN",
        "DARSENA_FAILPOINT",
        "DARSENA_WORKER",
        "DARSENA_SUPERVISOR",
        "DARSENA_PROFILE",
        "DARSENA_FAILURE_FD",
        "DARSENA_SCREEN",
        "DARSENA_DEBUG",
        "DARSENA_CHECK_JOURNAL",
    }
)
"""Variables with our prefix that are no settings."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; an unknown one is refused."""


class ServerSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8443"
    """HOST:PORT. The port is part of every image reference, so it is fixed when the data folder is made."""
    tls: Literal["own", "off", "proxy"] = "own"
    """Who speaks TLS to clients. `own`: this server. `off`: nobody, and links say http; for this machine and for tests.
    `proxy`: a proxy in front; it is spoken to in plain HTTP, and links say https and `server.public_port`."""
    public_port: int = 443
    """With `server.tls` = `proxy`, the port that clients use: part of every image reference in place of `listen`'s."""
    plain_from_elsewhere: bool = False
    """Plain HTTP on other addresses than loopback. Passwords and tokens can then be read on the way."""
    domain: str = ""
    """The control host's own name, with registries below it. Empty: `localhost`, registries at `azurecr.localhost`."""
    drain_s: int = 30
    """Seconds that running requests and builds have to end after SIGTERM."""


class DatabaseSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""
    """A PostgreSQL URL (`postgresql+psycopg://…`). Empty: SQLite in the data folder."""

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        return "postgresql" if self.url else "sqlite"


class BuildSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = True
    """Whether `serve` starts a build agent."""
    state: str = ""
    """The agent's folder for work and caches, outside the data folder. Empty: /var/lib (root) or ~/.local/state."""
    cpu: int = 0
    """How many processors runs may use together. 0: all of this machine."""
    allow_sources: tuple[str, ...] = ()
    """Hosts, `name` or `name:port`, on this machine that runs may fetch tarballs from. Elsewhere needs no leave, and
    git needs none here either."""


class TaskSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base_images: dict[str, str] = {}
    """Well-known image names and the `login-server[:port]/repository` that stands for each. In addition,
    `mcr.microsoft.com/<repository>` finds that repository in the run's own registry."""
    keep_runs_days: int = 30
    """How long finished runs and their logs are kept."""


class GcSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    grace_s: int = 3600
    """How long what nothing needs is left alone, and how long a mark waits: a push may take so long between being told
    that a blob is there and putting its manifest."""
    interval_s: int = 86_400
    """How often the server collects of itself. 0: only when asked to."""


class LimitSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rates: bool = False
    """Whether a registry's request rates are those of its tier, refused with 429 beyond."""


class LogSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, JSON otherwise."""
    requests: Literal["all", "changes", "none"] = "changes"
    """Which requests get a line: all, those that change something or fail, none."""


class Settings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    build: BuildSettings = BuildSettings()
    tasks: TaskSettings = TaskSettings()
    gc: GcSettings = GcSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()


SECRET_KEYS = frozenset({"database.url"})
"""Masked by `config show`."""


def load(data: Path, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """The effective settings. `flags` are `section.key` to value; None means not given. Raises StartFailure."""
    tree: dict[str, dict[str, Any]] = {}
    path = Path(environ.get("DARSENA_CONFIG") or data / "darsena.toml")
    for key, value in _from_file(path):
        _place(tree, key, value, f"in {path}")
    for name, value in environ.items():
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES:
            key = name.removeprefix(PREFIX).lower().replace("__", ".", 1)
            _place(tree, key, value, f"in the environment variable {name}")
    for key, value in flags.items():
        if value is not None:
            _place(tree, key, value, "on the command line")
    _recall(tree.setdefault("server", {}), data)
    try:
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise StartFailure(f"a setting has a value of the wrong kind: {error}") from error


def list_keys() -> list[str]:
    """Every `section.key`."""
    return [
        f"{section.name}.{key.name}"
        for section in msgspec.structs.fields(Settings)
        for key in msgspec.structs.fields(section.type)
    ]


def describe(settings: Settings) -> dict[str, Any]:
    """Effective values by `section.key`, secrets masked."""
    values: dict[str, Any] = {}
    for key in list_keys():
        section, _, name = key.partition(".")
        value = getattr(getattr(settings, section), name)
        values[key] = "***" if key in SECRET_KEYS and value else value
    return values


def _recall(server: dict[str, Any], data: Path) -> None:
    """What the folder was made with stands in for what is not given; one that cannot be read is others' to tell."""
    try:
        marker = json.loads((data / "darsena.json").read_bytes())
        port, scheme = int(marker["port"]), marker.get("scheme")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if scheme == "http":
        server.setdefault("tls", "off")
    if server.get("tls") == "proxy":
        server.setdefault("public_port", port)
    else:
        server.setdefault("listen", f"127.0.0.1:{port}")


def _from_file(path: Path) -> Iterator[tuple[str, Any]]:
    if not path.is_file():
        return
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartFailure(f"{path} is not valid TOML: {error}") from error
    for section, content in document.items():
        if not isinstance(content, dict):
            _unknown(section, f"in {path}")
        for name, value in content.items():  # pyright: ignore[reportUnknownVariableType]
            yield f"{section}.{name}", value


def _place(tree: dict[str, dict[str, Any]], key: str, value: Any, where: str) -> None:
    if key not in list_keys():
        _unknown(key, where)
    section, _, name = key.partition(".")
    if isinstance(value, str) and key == "tasks.base_images":
        value = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
    if isinstance(value, str) and key == "build.allow_sources":
        value = [part.strip() for part in value.split(",") if part.strip()]
    tree.setdefault(section, {})[name] = value


def _unknown(key: str, where: str) -> None:
    near = difflib.get_close_matches(key, list_keys(), n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise StartFailure(f"there is no setting {key!r} ({where}){hint} `darsena config show` lists all")


def from_environment(data: Path, flags: Mapping[str, Any] | None = None) -> Settings:
    return load(data, os.environ, flags or {})
