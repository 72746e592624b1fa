"""Memory that a burst has left free goes back to the system, so that the server is as small again as it was."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path

_LOOK_S = 5.0
_WORTH_BYTES = 48 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


_KEPT_FREE_BYTES = 32 << 20
_MAPPED_BYTES = 4 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_some() -> None:
    """Let the allocator keep what a transfer frees for the next one: pages asked for anew must be cleared first."""
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if adjust is not None:
        adjust(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
        adjust(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


async def give_back(stop: asyncio.Event) -> None:
    """Ask the allocator for it whenever the process has grown well above what it needed last."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is None:
        await stop.wait()
        return
    needed = resident_bytes()
    while not stop.is_set():
        if resident_bytes() > needed + _WORTH_BYTES:
            await asyncio.to_thread(trim, 0)
            needed = min(resident_bytes(), needed + _WORTH_BYTES)
        try:
            await asyncio.wait_for(stop.wait(), _LOOK_S)
        except TimeoutError:
            continue


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
