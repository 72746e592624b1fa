"""The folder that everything stored lies in, which has to stay the one that it was.

When a disk is unmounted, an empty folder takes its place. What is written there would be hidden once the disk is back,
and what is read would seem to be lost. So the folder has a mark, and where the mark is not, nothing is made and nothing
is missing: the disk cannot be used now.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from darsena.core.errors import DiskFailure, StartFailure
from darsena.storage import disk
from darsena.storage.layout import GROUND_MARK


class Ground:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = folder / GROUND_MARK

    @property
    def is_marked(self) -> bool:
        return self._mark.exists()

    def lay(self) -> None:
        """At the start: make the folder and its mark where they are not. Raises StartFailure."""
        if self.is_marked:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(disk.create_file(self._mark))
            disk.sync_folder(self.folder)
            disk.sync_folder(self.folder.parent)
        except OSError as error:
            raise StartFailure(f"the folder {self.folder} cannot be used: {error.strerror or error}") from error

    def check(self) -> None:
        """Raise DiskFailure where something else is in the folder's place."""
        if not self.is_marked:
            raise DiskFailure(
                "the folder of what is stored is not where it was: its disk is not mounted, or it was moved; "
                "nothing was changed"
            )

    def ensure(self, path: Path) -> None:
        """Make a folder in it, with those above, each durable in its parent, or none that is not."""
        if not path.is_dir():
            self.check()
            disk.ensure_folder(path)
