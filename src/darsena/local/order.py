"""What `darsena serve` asks of the supervisor, and how a plain command line says it.

The library that reads command lines takes longer to load than the supervisor. So options that are plainly right are
read here; for everything else (help, a wrong option, a missing value) the whole program has the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darsena.local.where import data_folder

_VALUES = {"--listen": "server.listen", "--domain": "server.domain", "--log-level": "log.level"}
_SWITCHES: dict[str, tuple[str, Any]] = {"--plain-http": ("server.tls", "off"), "--no-build": ("build.enabled", False)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`flags` are `section.key` to value: what stands on the command line goes before file and environment."""

    data: Path
    flags: dict[str, Any]


def read_order(arguments: Sequence[str], environ: Mapping[str, str]) -> Order | None:
    """None for what is not plainly right."""
    folder, flags, rest = environ.get("DARSENA_DATA", ""), dict[str, Any](), list(arguments)
    while rest:
        option, separator, value = rest.pop(0).partition("=")
        if option in _SWITCHES and not separator:
            key, set_to = _SWITCHES[option]
            flags[key] = set_to
            continue
        if not separator and rest:
            value = rest.pop(0)
        if not value or value.startswith("-"):
            return None
        if option == "--data":
            folder = value
        elif option in _VALUES:
            flags[_VALUES[option]] = value
        else:
            return None
    try:
        return Order(data=data_folder(Path(folder) if folder else None), flags=flags)
    except (OSError, RuntimeError):  # no home, no working directory
        return None
