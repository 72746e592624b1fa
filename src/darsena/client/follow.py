"""A run's log as lines, while it is written: by byte range, over server restarts and expired links, to its very end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from darsena.client.blobs import LogBlob
from darsena.client.errors import CallRefused, NotAllowed, Unreachable
from darsena.client.runs import Runs

T = TypeVar("T")

_CHUNK_BYTES = 1024 * 1024
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 1.0
PATIENCE_S = 120.0
"""How long a server may be gone before following ends: a restart does not end a run."""


class LogFollower:
    """`idle(size)` is called whenever there is nothing new, at most once a second; `lost(why)` once when the server is
    gone. After the last line `word` is the log's word of completion.
    """

    def __init__(
        self,
        runs: Runs,
        run_id: str,
        *,
        idle: Callable[[int], None] = lambda size: None,
        lost: Callable[[str], None] = lambda why: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._run_id = run_id
        self._idle = idle
        self._lost = lost
        self._sleep = sleep
        self._clock = clock
        self._log: LogBlob | None = None
        self._offset = 0
        self._tail = b""
        self.word = ""

    def lines(self) -> Iterator[str]:
        """Whole lines without their ends; a last one that has no end comes when the log is complete."""
        wait_s = _FIRST_WAIT_S
        while True:
            state = self._patiently(self._state)
            size, word = state or (0, "")
            if size > self._offset:
                wait_s = _FIRST_WAIT_S
                yield from self._read(min(size, self._offset + _CHUNK_BYTES))
            elif word:
                break
            else:
                self._idle(self._offset)
                self._sleep(wait_s)
                wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)
        if self._tail:
            yield _text(self._tail)
        self.word = word

    def _state(self) -> tuple[int, str] | None:
        return self._blob().state()

    def _blob(self) -> LogBlob:
        if self._log is None:
            self._log = self._runs.log(self._run_id)
        return self._log

    def _read(self, stop: int) -> Iterator[str]:
        data = self._patiently(lambda: self._blob().read(self._offset, stop))
        if not data:
            raise Unreachable("the log's server answered with nothing where the log has bytes")
        self._offset += len(data)
        *whole, self._tail = (self._tail + data).split(b"\n")
        for line in whole:
            yield _text(line)

    def _patiently(self, call: Callable[[], T]) -> T:
        """The call's answer, over a refused signature (the link is asked for anew) and a server that comes back."""
        deadline: float | None = None
        renewed = False
        while True:
            try:
                return call()
            except NotAllowed:
                if renewed:
                    raise
                renewed, self._log = True, None
            except (Unreachable, CallRefused) as error:
                if isinstance(error, CallRefused) and error.status < 500:
                    raise
                if deadline is None:
                    deadline = self._clock() + PATIENCE_S
                    self._lost(error.message)
                elif self._clock() >= deadline:
                    raise
                self._sleep(_LONGEST_WAIT_S)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
