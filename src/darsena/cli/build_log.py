"""A build's log as steps, told from the lines that the builder and the engine write."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_STEP = re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<number>\d+)(?:/(?P<total>\d+))?: (?P<text>.*)\Z")
_CACHED = re.compile(r"--> Using cache [0-9a-f]+\Z")
_ENGINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?P<text>.*)\Z")
_SHOWN = ("Downloading source code", "Pushing image:", "Pulling", "Scanning for dependencies")
"""Of the engine's own lines, those that stand for work that takes time."""

KEPT_LINES = 20_000
"""Of one step: beyond, the oldest are dropped, and the whole log stays at the server."""


@dataclass(slots=True)
class Step:
    title: str
    started: float
    is_cached: bool = False
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


class BuildLog:
    """`ended(step, seconds)` hears of each step when the next one begins. `current` is the one that runs now."""

    def __init__(self, ended: Callable[[Step, float], None], clock: Callable[[], float]) -> None:
        self._ended = ended
        self._clock = clock
        self.current: Step | None = None

    def feed(self, line: str) -> None:
        step = _STEP.match(line)
        engine = _ENGINE.match(line)
        if step:
            stage = f"{step['stage']}-" if step["stage"] else ""
            total = f"/{step['total']}" if step["total"] else ""
            self._begin(f"[{stage}{step['number']}{total}] {step['text']}")
        elif engine:
            self.close()
            if engine["text"].startswith(_SHOWN):
                self._begin(engine["text"])
        elif self.current is None:
            if line.strip():
                self._begin("[setup]")
                self._keep(line)
        elif _CACHED.match(line):
            self.current.is_cached = True
        else:
            self._keep(line)

    def close(self) -> Step | None:
        """End the current step, if there is one."""
        step, self.current = self.current, None
        if step is not None:
            self._ended(step, self._clock() - step.started)
        return step

    def _begin(self, title: str) -> None:
        self.close()
        self.current = Step(title=title, started=self._clock())

    def _keep(self, line: str) -> None:
        if self.current is not None:
            self.current.lines.append(line)
