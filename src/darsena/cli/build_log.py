"""A build's log as steps, told from the lines that the builder and the engine write."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_STEP = re.compile(r"(?:\[(?P<stage>\d+)/\d+\] )?STEP (?P<number>\d+)(?:/(?P<total>\d+))?: (?P<text>.*)\Z")
_CACHED = re.compile(r"--> Using cache [0-9a-f]+\Z")
ENGINE_LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?P<text>.*)\Z")
DEPENDENCIES_MARK = "The following dependencies were found:"

_SHOWN = ("Downloading source code", "Pushing image:", "Pulling", "Scanning for dependencies")
"""Of the engine's own lines, those that stand for work that takes time."""

_FAILED = "Container failed during run:"
_TRAILER = "Run ID: "

KEPT_LINES = 20_000
"""Of one step: beyond, the oldest are dropped, and the whole log stays at the server."""


@dataclass(slots=True)
class Step:
    title: str
    started: float
    is_cached: bool = False
    has_failed: bool = False
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


class Audience(Protocol):
    def step_ended(self, step: Step, seconds: float) -> None: ...
    def loose_line(self, line: str) -> None:
        """A line that belongs to no step."""
        ...


class BuildLog:
    """Tells `audience` of each step when it ends. `current` is the one that runs now."""

    def __init__(self, audience: Audience, clock: Callable[[], float]) -> None:
        self._audience = audience
        self._clock = clock
        self._in_dependencies = False
        self.current: Step | None = None

    def feed(self, line: str) -> None:
        if self._in_dependencies:
            # The list's own lines, until the run's last one.
            if not line.startswith(_TRAILER):
                return
            self._in_dependencies = False
        engine = ENGINE_LINE.match(line)
        step = _STEP.match(line)
        if engine:
            self._engine(engine["text"])
        elif step:
            stage = f"{step['stage']}-" if step["stage"] else ""
            total = f"/{step['total']}" if step["total"] else ""
            self._begin(f"[{stage}{step['number']}{total}] {step['text']}")
        elif self.current is None:
            if line.strip():
                self._audience.loose_line(line)
        elif _CACHED.match(line):
            self.current.is_cached = True
        else:
            self.current.lines.append(line)

    def close(self, *, failed: bool = False) -> None:
        """End the current step, if there is one."""
        step, self.current = self.current, None
        if step is not None:
            step.has_failed = failed
            self._audience.step_ended(step, self._clock() - step.started)

    def _engine(self, text: str) -> None:
        self.close(failed=text.startswith(_FAILED))
        self._in_dependencies = text.endswith(DEPENDENCIES_MARK)
        if text.startswith(_SHOWN):
            self._begin(text)

    def _begin(self, title: str) -> None:
        self.close()
        self.current = Step(title=title, started=self._clock())
