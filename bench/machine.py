"""What the figures were taken on: without it they mean nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path


def describe(folder: Path) -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{_processor()}, {os.cpu_count()} processors, {memory:.0f} GiB; {_file_system(folder)}; "
        f"Linux {platform.release()}; Python {platform.python_version()}; docker-registry {_peer_version()}; "
        f"load {load}"
    )


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _file_system(folder: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown file system"


def _peer_version() -> str:
    command = ["dpkg-query", "-W", "-f", "${Version}", "docker-registry"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "?"
    except FileNotFoundError:
        return "?"
