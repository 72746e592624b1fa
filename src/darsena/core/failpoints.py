"""Named points between two steps of a write, where a fault test ends or fails the process. Else they do nothing.

`DARSENA_FAILPOINT=name` or `name:kill` ends the process there with SIGKILL, as a power cut would; `name:raise` raises
OSError(EIO). Set from outside only: nothing that a client sends reaches it.
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "DARSENA_FAILPOINT"


def failpoint(name: str) -> None:
    """Do nothing, unless the environment names this point."""
    armed = os.environ.get(VARIABLE)
    if armed is None:
        return
    point, _, action = armed.partition(":")
    if point != name:
        return
    if action == "raise":
        raise OSError(errno.EIO, f"failpoint {name}")
    os.kill(os.getpid(), signal.SIGKILL)
