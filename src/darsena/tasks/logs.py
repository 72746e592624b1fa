"""Run logs: what an agent appends while it holds the run, the server's last line, and what readers see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from darsena.core.errors import ContentCorrupt, RequestTooLarge
from darsena.storage.port import LogStore
from darsena.tasks.locks import NamedLocks
from darsena.tasks.model import Ending, Run

LIMIT_BYTES = 65 * 1024 * 1024
"""The agent stops at 64 MiB, with a notice; this is for one that does not."""

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """`size` only grows; once `word` is set it stays."""

    size: int
    word: str | None


class RunLogs:
    """A run's log lies in the store under the run's uid."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._locks = NamedLocks()

    def hold(self, run_uid: str) -> AbstractAsyncContextManager[None]:
        """Nobody else of this process writes this log meanwhile: who may write is checked inside."""
        return self._locks.hold(run_uid)

    async def append(self, registry_uid: str, run_uid: str, offset: int, data: bytes) -> int:
        """Idempotent by offset. Raises RangeNotSatisfiable for a gap, RequestTooLarge beyond the limit."""
        if offset + len(data) > LIMIT_BYTES:
            raise RequestTooLarge("the run's log", LIMIT_BYTES)
        return await self._store.append(registry_uid, run_uid, offset, data)

    async def state(self, run: Run) -> LogState:
        """Of a complete log the row says how long it is."""
        size = await self._size(run) if run.log_word is None else run.log_size
        return LogState(size=size, word=run.log_word)

    async def read(self, run: Run, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes [start, stop), which the state says are there, in pieces. Raises ContentCorrupt if they are not."""
        for at in range(start, stop, _PIECE_BYTES):
            until = min(at + _PIECE_BYTES, stop)
            piece = await self._store.read(run.registry_uid, run.uid, at, until)
            if len(piece) != until - at:
                raise ContentCorrupt(f"the log of run {run.run_id} ends at byte {at + len(piece)}, before its end")
            yield piece

    async def complete(self, run: Run, last_line: str = "") -> int:
        """Add the server's last line, if there is one to add, and return the log's size. Idempotent."""
        size = await self._size(run)
        if not last_line:
            return size
        text = last_line.encode() + b"\r\n"
        tail = await self._store.read(run.registry_uid, run.uid, max(size - len(text), 0)) if size else b""
        if tail == text:
            return size
        gap = b"" if not size else b"\r\n" if tail.endswith(b"\n") else b"\r\n\r\n"
        return await self._store.append(run.registry_uid, run.uid, size, gap + text)

    async def delete(self, registry_uid: str, run_uid: str) -> None:
        await self._store.delete(registry_uid, run_uid)

    async def _size(self, run: Run) -> int:
        """0 for a log that nobody has written yet."""
        return await self._store.size(run.registry_uid, run.uid) or 0


def last_line(run: Run, ending: Ending, now_us: int) -> str:
    """What the engine would have written, had it come to it."""
    took = render_duration(max(now_us - (run.started_at_us or now_us), 0))
    match ending.status:
        case "Canceled":
            return f"Run ID: {run.run_id} was canceled after {took}"
        case "Timeout":
            return f"Run ID: {run.run_id} timed out after {took}"
        case "Succeeded":
            return f"Run ID: {run.run_id} was successful after {took}"
        case _:
            return f"Run ID: {run.run_id} failed after {took}. Error: {ending.error or 'unknown'}"


def render_duration(duration_us: int) -> str:
    """`5s`, `1m2s`, `1h0m0s`."""
    minutes, seconds = divmod(duration_us // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
