"""A run's log: the engine's own lines with their time, tools' output as it comes, masked, with CRLF, and sent at once.

Whole lines only, save that a line longer than 64 KiB or incomplete for a second is sent in parts, with the part kept
back that might begin a secret. After a broken connection the server's offset says what to send again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from darsena.agent.client import Refused, RunLost, ServerClient, ServerUnavailable
from darsena.agent.masking import Masker
from darsena.agent.protocol import RunOrder
from darsena.core.clock import Clock, render_log_time

LIMIT_BYTES = 64 * 1024 * 1024
_LINE_MAX = 64 * 1024
_PARTIAL_S = 1.0
_FLUSH_S = 0.15
_SEND_MAX = 1024 * 1024
_NOTICE = b"The log has reached its limit of 64 MiB; what follows is left out.\r\n"
_TRAILER_ROOM = 64 * 1024


class RunLog:
    def __init__(self, client: ServerClient, order: RunOrder, masker: Masker, clock: Clock) -> None:
        self._client = client
        self._order = order
        self._masker = masker
        self._clock = clock
        self._unsent = bytearray()
        self._sent = 0
        self._size = 0
        self._full = False
        self._ready = asyncio.Event()
        self._outputs: list[Output] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        return self._size

    def start(self) -> None:
        self._task = asyncio.create_task(self._send_for_ever())

    def note(self, text: str) -> None:
        """A line of the engine's own, with its time."""
        self.line(f"{render_log_time(self._clock.now_us())} {text}")

    def line(self, text: str) -> None:
        for part in text.split("\n"):
            self.write(self._masker.mask(part.encode()) + b"\r\n")

    def trailer(self, text: str) -> None:
        """The last lines have their room kept even in a full log."""
        data = self._masker.mask(text.replace("\n", "\r\n").encode()) + b"\r\n"
        self._put(data[:_TRAILER_ROOM])

    def output(self) -> Output:
        """A sink for one tool's output."""
        made = Output(self, self._masker)
        self._outputs.append(made)
        return made

    def write(self, data: bytes) -> None:
        """Masked bytes. Over the limit they are dropped, with one notice."""
        if self._full:
            return
        if self._size + len(data) > LIMIT_BYTES - _TRAILER_ROOM:
            self._full = True
            data = _NOTICE
        self._put(data)

    def _put(self, data: bytes) -> None:
        self._unsent += data
        self._size += len(data)
        self._ready.set()

    async def finish(self, timeout_s: float) -> bool:
        """Send all that is left; False if the server did not take it in time. Raises RunLost."""
        for output in self._outputs:
            output.close()
        await self.stop()
        try:
            async with asyncio.timeout(timeout_s):
                while self._unsent:
                    if not await self._send():
                        await asyncio.sleep(0.5)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, RunLost):
                await self._task
            self._task = None

    async def _send_for_ever(self) -> None:
        pause = _FLUSH_S
        while True:
            # Wakes without news too: a line may be waiting for its end.
            with suppress(TimeoutError):
                async with asyncio.timeout(_PARTIAL_S / 2):
                    await self._ready.wait()
            self._ready.clear()
            now = asyncio.get_running_loop().time()
            for output in self._outputs:
                output.flush_stale(now)
            if not self._unsent:
                continue
            if await self._send():
                pause = _FLUSH_S
            else:
                pause = min(pause * 2, 5.0)
                self._ready.set()
            await asyncio.sleep(pause)

    async def _send(self) -> bool:
        """One request; True when the server has taken something."""
        piece = bytes(self._unsent[:_SEND_MAX])
        try:
            offset = await self._client.append_log(self._order, self._sent, piece)
        except (ServerUnavailable, Refused):
            return False
        taken = max(0, min(offset - self._sent, len(self._unsent)))
        del self._unsent[:taken]
        self._sent += taken
        if self._unsent:
            self._ready.set()
        return taken > 0


class Output:
    """Takes a tool's bytes in any pieces; hands on whole lines, masked."""

    def __init__(self, log: RunLog, masker: Masker) -> None:
        self._log = log
        self._masker = masker
        self._partial = bytearray()
        self._since = 0.0
        self._open_line = False
        """Part of a line is written already."""
        self.tail = bytearray()
        """The last 64 KiB, unmasked: what `retryOnErrors` looks at."""

    def __call__(self, chunk: bytes) -> None:
        self.tail += chunk
        del self.tail[:-_LINE_MAX]
        self._partial += chunk
        end = self._partial.rfind(b"\n") + 1
        if end:
            for line in bytes(self._partial[:end]).split(b"\n")[:-1]:
                self._log.write(self._masker.mask(line.removesuffix(b"\r")) + b"\r\n")
            del self._partial[:end]
            self._open_line = False
        self._since = asyncio.get_running_loop().time()
        if len(self._partial) > _LINE_MAX:
            self._flush_partial()

    def flush_stale(self, now: float) -> None:
        if self._partial and now - self._since >= _PARTIAL_S:
            self._flush_partial()

    def close(self) -> None:
        """The tool has ended: its last line is over too."""
        if self._partial or self._open_line:
            self._log.write(self._masker.mask(bytes(self._partial)) + b"\r\n")
            self._partial.clear()
            self._open_line = False

    def _flush_partial(self) -> None:
        said, kept = self._masker.split(bytes(self._partial))
        self._log.write(said)
        self._partial = bytearray(kept)
        self._open_line = True
