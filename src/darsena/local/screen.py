"""The first screen: what runs, where the secret is, what to type next."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from darsena import __version__
from darsena.local.folder import Folder, Marker
from darsena.settings import Settings


def show_ready(folder: Folder, marker: Marker, settings: Settings, *, took_s: float) -> None:
    """One friendly screen on a terminal, one JSON line otherwise; both on stderr."""
    remember_last_serve(folder.root)
    if not sys.stderr.isatty() and not os.environ.get("DARSENA_SCREEN"):
        url = marker.addresses.control_url
        line = {"event": "ready", "control_url": url, "data": str(folder.root), "took_s": round(took_s, 2)}
        print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201
        return
    print(render(folder, marker, settings, took_s=took_s), file=sys.stderr, flush=True)  # noqa: T201


def render(folder: Folder, marker: Marker, settings: Settings, *, took_s: float) -> str:
    addresses = marker.addresses
    builds = "on; `darsena doctor` tells how" if settings.build.enabled else "off (build.enabled = false)"
    if settings.server.tls != "own":
        builds = f"off: they need TLS of this server's own (server.tls = {settings.server.tls})"
    registry = f"myregistry{addresses.login_server_suffix}"
    lines = [
        "",
        f"  Dársena {__version__} is ready after {took_s:.1f} s",
        "",
        f"  Control        {addresses.control_url}",
        f"  Registries     <name>{addresses.login_server_suffix}",
        *_describe_tls(settings),
        f"  Data           {folder.root}   (encrypted at rest)",
        f"  Owner's secret {folder.owner}   (readable by you only)",
        f"  Builds         {builds}",
        "",
        "  Next, in another terminal:",
        "    darsena trust                                  names and certificates for podman, docker, containerd",
        "    darsena group create -n demo",
        "    darsena create -g demo -n myregistry --sku Basic",
        "    darsena build -r myregistry -t hello:v1 .",
        "    darsena login -n myregistry",
        f"    podman pull {registry}/hello:v1",
        "",
        "  Ctrl-C stops it: requests and builds get time to end.",
        "",
    ]
    return "\n".join(lines)


def _describe_tls(settings: Settings) -> list[str]:
    if settings.server.tls == "own":
        return []
    if settings.server.tls == "proxy":
        return [f"  TLS            by a proxy, which speaks plain HTTP to {settings.server.listen}"]
    return ["  TLS            off: passwords and tokens cross the wire in clear"]


def remember_last_serve(root: Path) -> None:
    """Where the command line finds the owner's file when nobody has signed in (decisions, section 10)."""
    path = _last_serve_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(f"{root.resolve()}\n", "utf-8")
    except OSError:
        return  # a convenience only


def last_serve() -> Path | None:
    """The data folder of the last server that this user started here."""
    try:
        text = _last_serve_file().read_text("utf-8").strip()
    except OSError:
        return None
    return Path(text) if text else None


def _last_serve_file() -> Path:
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "darsena" / "last-serve"
