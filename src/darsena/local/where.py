"""Which data folder a local command means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from darsena.core.errors import StartFailure
from darsena.local.screen import last_serve

if TYPE_CHECKING:
    from darsena.local.folder import Folder, Marker

DEFAULT_DATA = "~/.local/share/darsena"


def data_folder(data: Path | None) -> Path:
    return Path(data or DEFAULT_DATA).expanduser().absolute()


def served_folder(data: Path | None) -> Path:
    """The folder that is named, else that of the last `darsena serve` of this user."""
    return data_folder(data or last_serve())


def open_folder(data: Path | None) -> tuple[Folder, Marker]:
    """The folder and its marker. Raises StartFailure where there is none."""
    from darsena.local.folder import Folder  # not when a command line is only read

    folder = Folder(served_folder(data))
    marker = folder.read_marker()
    if marker is None:
        raise StartFailure(f"{folder.root} is no data folder yet: start `darsena serve --data {folder.root}` once")
    return folder, marker
