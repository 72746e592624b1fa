"""What the supervisor and its worker tell each other: by signal, and through a pipe that the worker inherits."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Final

ENDS_SOON: Final = signal.SIGUSR1
"""Comes just before SIGTERM: whoever waits for something to happen is answered now, or the end would wait for it."""
VARIABLE: Final = "DARSENA_FAILURE_FD"
_READY: Final = b"\0"


@dataclass(frozen=True, slots=True)
class Report:
    """Of one worker, or of several that followed each other by SIGHUP: whether one was ready; why one could not
    start."""

    is_ready: bool
    failure: str


class WorkerPipe:
    """The supervisor's end."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_inheritable(write, True)
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)
        os.environ[VARIABLE] = str(write)

    def read(self) -> Report:
        """What was said since the last time."""
        try:
            said = os.read(self._read, 1 << 20)
        except BlockingIOError:
            said = b""
        failure = said.replace(_READY, b"").decode("utf-8", "replace").strip()
        return Report(_READY in said, failure)


def tell_failure(message: str) -> None:
    os.write(int(os.environ[VARIABLE]), message.encode())


def tell_ready() -> None:
    os.write(int(os.environ[VARIABLE]), _READY)
