"""`darsena doctor`: what is wrong with this machine for Dársena, and what to do about each finding."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from darsena import settings
from darsena.core.errors import StartFailure
from darsena.local.folder import Folder, Marker

Level = Literal["ok", "note", "fault"]
_MARKS = {"ok": "ok   ", "note": "note ", "fault": "FAULT"}
_LOW_DISK_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`fix` is empty where nothing has to be done."""

    area: str
    level: Level
    text: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(data: Path) -> list[Finding]:
    """Every finding, good ones too. Changes nothing."""
    folder = Folder(data)
    try:
        marker = folder.read_marker()
        chosen = settings.from_environment(data)
    except StartFailure as failure:
        return [Finding(area="folder", level="fault", text=failure.message, fix="see above")]
    findings = [*_examine_folder(folder, marker), *_examine_tls(chosen), *_examine_engine(chosen)]
    if marker is not None:
        findings += [*_examine_certificates(folder), *_examine_names(marker), *_examine_server(folder, marker, chosen)]
        findings += _name_plain_folders(chosen, marker)
    return findings


def render(findings: list[Finding]) -> str:
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.level]} {finding.area:<12} {finding.text}")
        if finding.fix:
            lines.append(f"{'':<19}-> {finding.fix}")
    faults = sum(finding.level == "fault" for finding in findings)
    lines.append("")
    lines.append("all is well" if not faults else f"{faults} fault{'s' if faults > 1 else ''} to mend")
    return "\n".join(lines)


def _examine_folder(folder: Folder, marker: Marker | None) -> Iterator[Finding]:
    if marker is None:
        yield Finding(
            area="folder",
            level="note",
            text=f"{folder.root} is not made yet",
            fix=f"darsena serve --data {folder.root}",
        )
        return
    yield Finding(area="folder", level="ok", text=f"{folder.root}, format version {marker.format_version}")
    for path in (folder.root_key, folder.tls / "ca.key", folder.owner):
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(area="folder", level="fault", text=f"{path} can be read by others", fix=f"chmod 600 {path}")
    free = shutil.disk_usage(folder.root).free
    text = f"{free / 1024**3:.1f} GiB free"
    if free < _LOW_DISK_BYTES:
        yield Finding(area="folder", level="fault", text=f"only {text}", fix="free space, or move the folder")
    else:
        yield Finding(area="folder", level="ok", text=text)


def _examine_tls(chosen: settings.Settings) -> Iterator[Finding]:
    if chosen.server.tls == "off":
        text = "off: passwords and tokens cross the wire in clear, and stock az and docker want https but on loopback"
        yield Finding(area="tls", level="note", text=text)
    if chosen.server.tls == "proxy":
        yield Finding(area="tls", level="note", text=f"by a proxy, which must reach {chosen.server.listen} only")


def _examine_engine(chosen: settings.Settings) -> Iterator[Finding]:
    if chosen.server.tls != "own":
        text = f"builds are off: they need TLS of this server's own (server.tls = {chosen.server.tls})"
        yield Finding(area="engine", level="note", text=text)
        return
    if not chosen.build.enabled:
        yield Finding(area="engine", level="note", text="builds are off (build.enabled = false)")
        return
    from darsena.engine.podman import describe

    info = describe()
    explained = {
        "dedicated-user": "builds run as a user of their own",
        "rootless": "builds run with your own files' rights",
        "root": "builds run as root: for trusted users only",
        "none": "builds are refused",
    }[info.mode]
    version = f"{info.engine} {info.version}".strip()
    level: Level = "fault" if info.mode == "none" else "ok"
    yield Finding(area="engine", level=level, text=f"{version}, mode {info.mode}: {explained}")
    if info.platforms:
        yield Finding(area="engine", level="ok", text=f"platforms {', '.join(info.platforms)}")
    for fault in info.faults:
        yield Finding(area="engine", level="fault" if fault.stops else "note", text=fault.text, fix=fault.fix)


def _examine_certificates(folder: Folder) -> Iterator[Finding]:
    from cryptography import x509

    for name, path in (("CA", folder.ca_file), ("server certificate", folder.certificate)):
        if not path.exists():
            yield Finding(area="certificates", level="fault", text=f"{path} is missing", fix="start darsena serve once")
            continue
        end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        fresh = end - datetime.now(UTC) > timedelta(days=14)
        fix = "" if fresh else "restart darsena serve: it renews what is due"
        yield Finding(
            area="certificates", level="ok" if fresh else "fault", text=f"{name} until {end:%Y-%m-%d}", fix=fix
        )


def _examine_names(marker: Marker) -> Iterator[Finding]:
    for name in (marker.control_host, marker.addresses.blob_host, f"anyregistry.{marker.registry_domain}"):
        try:
            found = sorted({str(row[4][0]) for row in socket.getaddrinfo(name, marker.port, type=socket.SOCK_STREAM)})
        except OSError:
            example = name.startswith("anyregistry.")
            text = f"{name} does not resolve" + (
                " (new registries get their names from `darsena trust`)" if example else ""
            )
            fix = "darsena trust   (or install libnss-myhostname; darsena itself and builds need neither)"
            yield Finding(area="names", level="note", text=text, fix=fix)
            continue
        yield Finding(area="names", level="ok", text=f"{name} is {', '.join(found)}")


def _examine_server(folder: Folder, marker: Marker, chosen: settings.Settings) -> Iterator[Finding]:
    from darsena.local.supervisor import probe_health

    status = probe_health(folder, marker, chosen)
    if status is None:
        yield Finding(area="server", level="note", text="not running", fix=f"darsena serve --data {folder.root}")
    else:
        yield Finding(area="server", level="ok", text=f"version {status['version']} at {marker.addresses.control_url}")


def _name_plain_folders(chosen: settings.Settings, marker: Marker) -> Iterator[Finding]:
    """What a build has on disk while it runs is not encrypted: say where."""
    from darsena.local.supervisor import agent_state

    state = agent_state(chosen, marker)
    text = f"{state}: the agent's work and caches, not encrypted; a run's are wiped at its end"
    yield Finding(area="plain data", level="note", text=text)
    if os.geteuid() != 0 and sys.platform == "linux":
        yield Finding(area="rights", level="note", text="not root: `darsena trust` changes your own podman only")
