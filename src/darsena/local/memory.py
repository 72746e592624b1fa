"""Memory that a burst has left free goes back to the system, so that the server is as small again as it was."""

from __future__ import annotations

import asyncio
import ctypes

from darsena.core.resident import own_bytes

_LOOK_S = 5.0
_WORTH_BYTES = 48 << 20

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
    """Ask the allocator for it as long as the process is well above the least that it has needed.

    What is in use stays, and then the asking takes less than a millisecond.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is None:
        await stop.wait()
        return
    least = own_bytes()
    while not stop.is_set():
        if own_bytes() > least + _WORTH_BYTES:
            await asyncio.to_thread(trim, 0)
        least = min(least, own_bytes())
        try:
            await asyncio.wait_for(stop.wait(), _LOOK_S)
        except TimeoutError:
            continue
