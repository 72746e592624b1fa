"""Granian's target: the first thing that an API worker does, before anything heavy is imported."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def create() -> Any:
    """The ASGI application, in a process that ends with its supervisor."""
    _die_with_supervisor(int(os.environ["DARSENA_SUPERVISOR"]))
    gc.disable()  # what is made at start stays: looking through it again and again costs a tenth of the start
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # structlog would load it, for colours
    from darsena.app import create as create_application  # after the lines above: it takes half a second

    application = create_application()
    gc.freeze()
    gc.enable()
    return application


def _die_with_supervisor(supervisor: int) -> None:
    """A supervisor that is killed takes its worker along: nothing is left that still answers.

    In a process group of its own the worker hears of Ctrl-C through the supervisor only, which lets builds end first.
    """
    os.setpgid(0, 0)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)
